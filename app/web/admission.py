"""Load shedding: a few clients are told to come back, instead of all of them waiting for ever."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.events import Listener, RequestShed
from app.web.observe import is_housekeeping
from app.web.problems import ProblemResponse, retry_after

# An event loop this late does nothing in time any more: new work only makes it worse.
OVERLOADED_LAG_SECONDS = 0.25
OVERLOADED_PART = 0.5
DETAIL = "The service has as much to do as it can do well; try again in a moment."


class Admission:
    """ASGI middleware: 503 with Retry-After beyond `max_in_flight` requests; beyond half of it when the loop lags.

    Health checks, scrapes and the status page are always let in: who looks at an overloaded service must see it.
    """

    def __init__(self, app: ASGIApp, emit: Listener, max_in_flight: int, lag_seconds: Callable[[], float]) -> None:
        self._app = app
        self._emit = emit
        self._max_in_flight = max_in_flight
        self._lag_seconds = lag_seconds
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or is_housekeeping(scope):
            await self._app(scope, receive, send)
            return
        if self._is_full():
            self._emit(RequestShed("overload"))
            await ProblemResponse(503, DETAIL, retry_after())(scope, receive, send)
            return
        self.in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.in_flight -= 1

    def _is_full(self) -> bool:
        if self.in_flight < self._max_in_flight * OVERLOADED_PART:
            return False
        return self.in_flight >= self._max_in_flight or self._lag_seconds() > OVERLOADED_LAG_SECONDS
