"""How long a request may take; what it waits for is told, all the way down."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from app import context
from app.web.problems import ProblemResponse

HEADER = b"x-request-timeout-ms"
MAX_MILLISECONDS = 120_000
WRONG = f"X-Request-Timeout-Ms must be a whole number of milliseconds, from 1 to {MAX_MILLISECONDS}."


class Deadline:
    """ASGI middleware: `default_seconds`, or less if the client asks for less in X-Request-Timeout-Ms."""

    def __init__(self, app: ASGIApp, default_seconds: float) -> None:
        self._app = app
        self._default_seconds = default_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            seconds = self._default_seconds
            for name, value in scope["headers"]:
                if name == HEADER:
                    if not (value.isdigit() and len(value) <= 6 and 1 <= int(value) <= MAX_MILLISECONDS):
                        await ProblemResponse(400, WRONG)(scope, receive, send)
                        return
                    seconds = min(seconds, int(value) / 1000)
            context.use_deadline(seconds)
        await self._app(scope, receive, send)
