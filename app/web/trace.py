"""The span of each request. Whether it is recorded is decided first: most are not, and should cost next to nothing.

The decision of a caller who sends `traceparent` holds; otherwise chance decides by the sampling ratio, and no more than
so many a second are begun: what watching costs does not grow with the load. Also what is not recorded has a trace id,
for the logs and for problem documents.
"""

from __future__ import annotations

import random

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry.tracing import SERVICE_NAME
from app.web.observe import METHODS, is_housekeeping
from app.web.rate_limit import Limiter

_propagator = TraceContextTextMapPropagator()
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)


class Trace:
    """The outermost ASGI middleware. Requests that look at the service leave no trace."""

    def __init__(self, app: ASGIApp, sampling_ratio: float, max_per_second: float) -> None:
        self._app = app
        self._sampling_ratio = sampling_ratio
        self._limiter = Limiter(max_per_second)
        self._tracer = trace.get_tracer(SERVICE_NAME)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request within its span."""
        if scope["type"] != "http" or is_housekeeping(scope):
            await self._app(scope, receive, send)
            return
        parent = _parent(scope)
        said = trace.get_current_span(parent).get_span_context() if parent is not None else trace.INVALID_SPAN_CONTEXT
        if not (said.trace_flags.sampled if said.is_valid else self._is_chosen()):
            with trace.use_span(_unrecorded(said)):
                await self._app(scope, receive, send)
            return
        with self._tracer.start_as_current_span(
            scope["method"], parent or Context(), SpanKind.SERVER, attributes=_attributes(scope)
        ) as span:
            await self._recorded(span, scope, receive, send)

    def _is_chosen(self) -> bool:
        return random.random() < self._sampling_ratio and not self._limiter.wait_seconds("")  # noqa: S311 - no secret

    async def _recorded(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(Status(StatusCode.ERROR))
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "HTTP"
            route = getattr(scope.get("route"), "path", None)
            span.update_name(f"{method} {route}" if route else method)
            if route:
                span.set_attribute("http.route", route)


def _parent(scope: Scope) -> Context | None:
    carrier = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in (b"traceparent", b"tracestate")
    }
    return _propagator.extract(carrier, Context()) if carrier else None


def _unrecorded(parent: SpanContext) -> Span:
    trace_id = parent.trace_id or random.getrandbits(128) or 1
    span_id = random.getrandbits(64) or 1
    return NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False, trace_flags=_NOT_SAMPLED))


def _attributes(scope: Scope) -> dict[str, str]:
    client = scope.get("client")
    return {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
        **({"client.address": client[0]} if client else {}),
    }
