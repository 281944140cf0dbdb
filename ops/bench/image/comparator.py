"""The same job as one would do it with FastAPI and a cache library: `LIBRARY=cashews` or `LIBRARY=aiocache`.

Reads of a chat's newest messages through the library's cache with its own stampede protection, appends that take the
page out of it, a bearer token. Everything else that the backend does (limits, metrics, traces, logs, breakers, stale
reads) is left out: that is in these services' favour.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import BaseModel
from seed import database

PAGE = 50
TTL_SECONDS = 300
OWNER = os.environ["OWNER"]
# What the backend gives Redis too.
REDIS_SECONDS = 0.1
READ = """
SELECT id, role, content, created_at, edited_at FROM messages
WHERE chat_id = $1 AND EXISTS (SELECT FROM chats WHERE id = $1 AND owner = $2) ORDER BY id DESC LIMIT $3
"""
APPEND = """
WITH chat AS (
    UPDATE chats SET last_message_id = last_message_id + 1, updated_at = clock_timestamp()
    WHERE id = $1 AND owner = $2 RETURNING last_message_id
)
INSERT INTO messages (chat_id, id, role, content) SELECT $1, last_message_id, $3, $4 FROM chat
RETURNING id, role, content, created_at, edited_at
"""

Load = Callable[[UUID], Awaitable[str]]
Forget = Callable[[UUID], Awaitable[Any]]


class NewMessage(BaseModel):
    """A message to append."""

    role: Literal["user", "assistant", "system"]
    content: str


def with_cashews(load: Load) -> tuple[Load, Forget]:
    """A client-side cache in the process, kept right by Redis' own invalidation messages, and a lock around loads."""
    from cashews import cache

    # Errors of Redis are suppressed, which is the library's default.
    cache.setup(f"redis://{os.environ['CACHE_HOST']}", client_side=True, socket_timeout=REDIS_SECONDS)

    @cache(ttl=TTL_SECONDS, key="page:{chat_id}", lock=True)
    async def cached(chat_id: UUID) -> str:
        return await load(chat_id)

    async def forget(chat_id: UUID) -> None:
        await cache.delete(f"page:{chat_id}")

    return cached, forget


def with_aiocache(load: Load) -> tuple[Load, Forget]:
    """Redis, with a lease around loads. It has no tier in the process that Redis would keep right."""
    from aiocache import RedisCache, cached_stampede

    options = {"endpoint": os.environ["CACHE_HOST"], "timeout": REDIS_SECONDS, "namespace": "page"}
    pages = RedisCache(**options)
    cached = cached_stampede(
        lease=2, ttl=TTL_SECONDS, cache=RedisCache, key_builder=lambda _, chat_id: str(chat_id), **options
    )(load)

    async def forget(chat_id: UUID) -> None:
        try:
            await pages.delete(str(chat_id))
        except Exception as error:  # whatever Redis' client raises: the write has been done
            print(f"not taken out of the cache: {error!r}", flush=True)

    return cast("Load", cached), forget


class Comparator:
    """Reads and writes; counts the loads from the database."""

    def __init__(self) -> None:
        self.loads = 0
        self.pool: asyncpg.Pool

    async def load(self, chat_id: UUID) -> str:
        """The page as JSON."""
        self.loads += 1
        rows = await self.pool.fetch(READ, chat_id, OWNER, PAGE)
        messages = [
            {
                "id": row["id"],
                "role": row["role"],
                "content": row["content"],
                "created_at": row["created_at"].isoformat(),
                "edited_at": row["edited_at"] and row["edited_at"].isoformat(),
            }
            for row in reversed(rows)
        ]
        return json.dumps({"messages": messages, "next_cursor": None})


def create_app() -> FastAPI:
    """The service."""
    comparator = Comparator()
    cached, forget = {"cashews": with_cashews, "aiocache": with_aiocache}[os.environ["LIBRARY"]](comparator.load)
    digest = bytes.fromhex(os.environ["TOKEN_SHA256"])

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with await database() as comparator.pool:
            yield

    def authenticate(authorization: Annotated[str, Header()]) -> None:
        token = authorization.removeprefix("Bearer ")
        if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), digest):
            raise HTTPException(401)

    app = FastAPI(lifespan=lifespan)

    @app.get("/api/chats/{chat_id}/messages", dependencies=[Depends(authenticate)])
    async def messages(chat_id: UUID) -> Response:
        return Response(await cached(chat_id), media_type="application/json")

    @app.post("/api/chats/{chat_id}/messages", dependencies=[Depends(authenticate)], status_code=201)
    async def append(chat_id: UUID, message: NewMessage) -> dict[str, Any]:
        row = await comparator.pool.fetchrow(APPEND, chat_id, OWNER, message.role, message.content)
        await forget(chat_id)
        return dict(row)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(f"comparator_loads_total {comparator.loads}\n")

    @app.get("/api/health/live")
    async def live() -> dict[str, str]:
        return {"status": "up"}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(), host="0.0.0.0", port=8080, http="httptools", loop="uvloop", access_log=False)  # noqa: S104
