"""How many requests a client may send: the generic cell rate algorithm, one number for each client."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from app import context
from app.events import Listener, RequestShed
from app.web.problems import ProblemResponse

# A client may save up this many seconds' worth of requests.
BURST_SECONDS = 2.0
MAX_CLIENTS = 10_000


class Limiter:
    """`per_second` requests for each name, in the long run, with bursts of twice as many; bounded memory."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_seconds = 1.0 / per_second
        self._burst_seconds = max(BURST_SECONDS, self._interval_seconds)
        self._clock = clock
        # When each client's allowance would be whole again.
        self._whole_at: OrderedDict[str, float] = OrderedDict()

    @property
    def burst(self) -> int:
        """Requests that are within the limit after a quiet time."""
        return int(self._burst_seconds / self._interval_seconds + 1e-9)

    def wait_seconds(self, name: str) -> float:
        """0 when one more request is within the limit, and it is counted; else how long to wait for that."""
        now = self._clock()
        whole_at = max(self._whole_at.get(name, now), now) + self._interval_seconds
        wait_seconds = whole_at - now - self._burst_seconds
        if wait_seconds > 1e-9:
            return wait_seconds
        self._whole_at[name] = whole_at
        self._whole_at.move_to_end(name)
        if len(self._whole_at) > MAX_CLIENTS:
            # Who has been quiet for longest has saved up everything anyway, or nearly.
            self._whole_at.popitem(last=False)
        return 0.0


def too_many(limiter: Limiter, wait_seconds: float, detail: str) -> ProblemResponse:
    """429 that says when to come back."""
    seconds = str(max(1, math.ceil(wait_seconds)))
    headers = {
        "Retry-After": seconds,
        "RateLimit-Limit": str(limiter.burst),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": seconds,
    }
    return ProblemResponse(429, detail, headers)


class RateLimit:
    """ASGI middleware: 429 for an authenticated client beyond `per_second`, in this replica; 0: no limit."""

    def __init__(self, app: ASGIApp, emit: Listener, per_second: float) -> None:
        self._app = app
        self._emit = emit
        self._per_second = per_second
        self._limiter = Limiter(per_second) if per_second else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        name = context.caller() if scope["type"] == "http" else ""
        if self._limiter is None or not name:
            await self._app(scope, receive, send)
            return
        wait_seconds = self._limiter.wait_seconds(name)
        if wait_seconds:
            self._emit(RequestShed("rate_limit"))
            detail = f"This client may send {self._per_second:g} requests a second."
            await too_many(self._limiter, wait_seconds, detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)
