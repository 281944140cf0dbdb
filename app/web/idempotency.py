"""The header Idempotency-Key: a write that may be sent again, and is executed once."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from app import context
from app.chats.store import IdempotentRequest

HEADER = "idempotency-key"
# The IETF draft writes the key as a quoted string; most clients send it bare.
KEY = re.compile(r'"([\x21\x23-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})')
WRONG_KEY = "Idempotency-Key must be 1 to 255 visible ASCII characters, and must not be repeated."


async def idempotent_request(request: Request) -> IdempotentRequest | None:
    """What identifies this write when it comes again; None when the client did not ask for it."""
    keys = request.headers.getlist(HEADER)
    if not keys:
        return None
    match = KEY.fullmatch(keys[0])
    if len(keys) > 1 or match is None:
        raise HTTPException(400, WRONG_KEY)
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode("utf-8", "surrogatepass"))
    digest.update(await request.body())
    return IdempotentRequest(context.caller(), match[1] or match[2], digest.digest())


Idempotent = Annotated[IdempotentRequest | None, Depends(idempotent_request)]
