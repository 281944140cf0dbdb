"""What surrounds every request: events for metrics and logs, and a last resort for errors."""

from __future__ import annotations

import logging
import time

from opentelemetry import trace
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import context
from app.events import Listener, RequestFinished, RequestStarted
from app.web.drain import Drain
from app.web.problems import ProblemResponse

log = logging.getLogger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HOUSEKEEPING = ("/api/health", "/api/status", "/status", "/metrics")
# What web servers commonly log when the client left before there was an answer.
CLIENT_CLOSED_REQUEST = 499


def is_housekeeping(scope: Scope) -> bool:
    """Whether a request looks at the service (health check, scrape, status page) rather than uses it."""
    return str(scope["path"]).startswith(HOUSEKEEPING)


class Observe:
    """The outermost ASGI middleware of the application."""

    def __init__(self, app: ASGIApp, emit: Listener, drain: Drain) -> None:
        self._app = app
        self._emit = emit
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and tell about it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = CLIENT_CLOSED_REQUEST
        cache: str | None = None
        began = time.perf_counter()
        traced = trace.get_current_span().get_span_context()

        async def observed_send(message: Message) -> None:
            nonlocal status, cache
            if message["type"] == "http.response.start":
                status = message["status"]
                for name, value in message["headers"]:
                    if name == b"x-cache":
                        cache = value.decode("latin-1")
                headers = MutableHeaders(scope=message)
                if traced.is_valid:
                    # What to look for in logs and traces; the edge's log names it too.
                    headers["x-trace-id"] = trace.format_trace_id(traced.trace_id)
                if self._drain.started:
                    headers["connection"] = "close"
            await send(message)

        self._emit(RequestStarted())
        try:
            await self._app(scope, receive, observed_send)
        except Exception:
            log.exception("unexpected error while serving %s %s", scope["method"], scope["path"])
            if status != CLIENT_CLOSED_REQUEST:
                raise  # The answer is half sent: only closing the connection tells the client.
            detail = "Something went wrong in the service; it has been logged."
            await ProblemResponse(500, detail)(scope, receive, observed_send)
        finally:
            # The route's template, not the path: paths hold ids and would make a time series each.
            route = getattr(scope.get("route"), "path", "unmatched")
            client = scope.get("client")
            # Set by the middleware within, in this same task.
            variant, caller = context.variant().name, context.caller()
            _describe(variant, caller, cache)
            self._emit(
                RequestFinished(
                    method=scope["method"] if scope["method"] in METHODS else "OTHER",
                    path=scope["path"],
                    route=route,
                    status=status,
                    duration_seconds=time.perf_counter() - began,
                    client=client[0] if client else "",
                    caller=caller,
                    variant=variant,
                    cache=cache,
                    is_user_traffic=not is_housekeeping(scope),
                )
            )


def _describe(variant: str, caller: str, cache: str | None) -> None:
    current = trace.get_current_span()
    if current.is_recording():
        current.set_attribute("pidea.variant", variant)
        current.set_attribute("pidea.caller", caller)
        if cache is not None:
            current.set_attribute("pidea.cache", cache)
