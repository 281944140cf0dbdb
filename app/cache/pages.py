"""Pages of chats in Redis: read-through with a TTL, safe against stale writes, never in a request's way.

How an invalidation beats a reader that is about to store what it read before: each chat has a token, a
random value under a key of its own. A reader takes the token *before* it reads PostgreSQL and stores it with
the page; a page counts only while its token is the chat's. A writer, *after* its commit, puts a new random
token. So a page read before the commit carries an old token and is never used, however late it is stored.
Random values, not a counter: an evicted counter would start again and could revive old pages.

An invalidation that Redis did not take is kept and sent again when Redis is back; until then this process
does not use Redis for that chat. Other replicas may see the page as it was for at most the TTL.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.errors import BreakerOpenError
from app.events import BreakerState, CacheFailed, CacheLookedUp, Listener
from app.resilience.breaker import CircuitBreaker
from app.resilience.timeouts import within
from app.telemetry.tracing import span

T = TypeVar("T")

TOKEN_BYTES = 16
TOKEN_SECONDS = 24 * 3600
# A page above this size costs Redis more memory than a read of PostgreSQL is worth.
MAX_PAGE_BYTES = 1024 * 1024
MAX_PENDING = 50_000


@dataclass(frozen=True, slots=True)
class Lookup:
    """What Redis said. `token` is None when Redis was not used; `body` is None unless it was a hit."""

    key: str
    token: bytes | None
    body: bytes | None


class PageCache:
    """Each public method returns within `timeout_seconds` and raises nothing."""

    def __init__(
        self,
        redis: Redis,
        breaker: CircuitBreaker,
        emit: Listener,
        *,
        ttl_seconds: int,
        timeout_seconds: float,
    ) -> None:
        self._redis: Any = redis  # its type hints mix the sync and the async client
        self._breaker = breaker
        self._emit = emit
        self._ttl_seconds = ttl_seconds
        self._timeout_seconds = timeout_seconds
        # Chats whose invalidation is still to be sent, with the time after which it is not needed any more.
        self._pending: dict[UUID, float] = {}

    @property
    def pending_invalidations(self) -> int:
        """Invalidations that wait for Redis to come back."""
        return len(self._pending)

    async def lookup(self, chat_id: UUID, limit: int, before: int | None) -> Lookup:
        """Look for a page; on a miss the Lookup is what `store` needs."""
        key = f"pidea:chat:{chat_id}:page:{limit}:{before or 'newest'}"
        bypass = Lookup(key, None, None)
        if chat_id in self._pending:
            return bypass

        async def ask_redis() -> Lookup:
            token, page = await self._redis.mget(_token_key(chat_id), key)
            if token is None:
                token = await self._first_token(chat_id)
            elif page is not None and page[:TOKEN_BYTES] == token:
                return Lookup(key, token, page[TOKEN_BYTES:])
            return Lookup(key, token, None)

        found = await self._guarded("lookup", ask_redis, self._timeout_seconds / 2, bypass)
        if found.token is not None:
            self._emit(CacheLookedUp(hit=found.body is not None))
        return found

    async def store(self, lookup: Lookup, body: bytes) -> None:
        """Keep a page that was read after `lookup`."""
        token = lookup.token
        if token is None or len(body) > MAX_PAGE_BYTES:
            return

        async def put() -> None:
            await self._redis.set(lookup.key, token + body, ex=self._ttl_seconds)

        await self._guarded("store", put, self._timeout_seconds / 2, None)

    async def invalidate(self, chat_id: UUID) -> None:
        """Make every stored page of a chat useless; call it after the commit."""
        # Noted first: if this call is cancelled or fails, the chat stays noted.
        self._note_pending(chat_id)
        await self._send_invalidation(chat_id)

    async def maintain(self) -> None:
        """Send failed invalidations again; let the breaker find out without traffic that Redis is back."""
        now = asyncio.get_running_loop().time()
        for chat_id, needless_after in list(self._pending.items()):
            if now >= needless_after:
                self._pending.pop(chat_id, None)
            elif not await self._send_invalidation(chat_id):
                return
        if self._breaker.state is not BreakerState.CLOSED:
            await self._guarded("ping", self._redis.ping, self._timeout_seconds, None)

    async def _first_token(self, chat_id: UUID) -> bytes:
        token = secrets.token_bytes(TOKEN_BYTES)
        # NX with GET: of several readers at once all use the one that came first.
        key = _token_key(chat_id)
        earlier: bytes | None = await self._redis.set(key, token, nx=True, get=True, ex=TOKEN_SECONDS)
        return earlier or token

    def _note_pending(self, chat_id: UUID) -> None:
        self._pending.pop(chat_id, None)
        if len(self._pending) >= MAX_PENDING:
            self._pending.pop(next(iter(self._pending)))
        self._pending[chat_id] = asyncio.get_running_loop().time() + self._ttl_seconds

    async def _send_invalidation(self, chat_id: UUID) -> bool:
        noted = self._pending.get(chat_id)

        async def put() -> bool:
            await self._redis.set(_token_key(chat_id), secrets.token_bytes(TOKEN_BYTES), ex=TOKEN_SECONDS)
            return True

        sent = await self._guarded("invalidate", put, self._timeout_seconds, False)
        # A write that came in the meantime has noted the chat anew and sends its own.
        if sent and self._pending.get(chat_id) == noted:
            self._pending.pop(chat_id, None)
        return sent

    async def _guarded(
        self, operation: str, call: Callable[[], Coroutine[Any, Any, T]], timeout_seconds: float, otherwise: T
    ) -> T:
        with span(f"cache {operation}", {"db.system.name": "redis"}) as current:
            try:
                return await self._breaker.call(lambda: within(timeout_seconds, call))
            except BreakerOpenError:
                current.set_attribute("pidea.breaker.open", True)
            except (RedisError, OSError, TimeoutError) as error:
                self._emit(CacheFailed(operation, str(error) or type(error).__name__))
            return otherwise


def _token_key(chat_id: UUID) -> str:
    return f"pidea:chat:{chat_id}:token"
