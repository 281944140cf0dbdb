"""Refuse request bodies that no valid request has, before they fill memory."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.problems import ProblemResponse

# JSON may spell each byte of content with up to six characters, and there is a little around it.
MAX_BODY_BYTES = 6 * 64 * 1024 + 4096
DECIMAL = re.compile(r"[0-9]{1,15}")
AMBIGUOUS = "The request must say once, and in one way, how long its body is."


class BodyLimit:
    """ASGI middleware: 413 when more than MAX_BODY_BYTES are announced or come in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what the application receives."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        lengths = headers.getlist("content-length")
        # Two opinions about where a request ends are how one is smuggled past the edge inside another.
        if len(lengths) > 1 or (lengths and ("transfer-encoding" in headers or not DECIMAL.fullmatch(lengths[0]))):
            await ProblemResponse(400, AMBIGUOUS, {"Connection": "close"})(scope, receive, send)
            return
        announced_bytes = int(lengths[0]) if lengths else 0
        received_bytes = 0

        async def counted() -> Message:
            nonlocal received_bytes
            if announced_bytes > MAX_BODY_BYTES:
                raise _too_large()
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > MAX_BODY_BYTES:
                raise _too_large()
            return message

        await self._app(scope, counted, send)


def _too_large() -> HTTPException:
    detail = f"The request body must not be larger than {MAX_BODY_BYTES} bytes."
    return HTTPException(413, detail, {"Connection": "close"})
