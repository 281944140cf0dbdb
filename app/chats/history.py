"""Chat history: PostgreSQL behind the cache, identical reads shared."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from app.cache.pages import Lookup, PageCache
from app.chats.messages import Message, MessageStore, NewMessage
from app.resilience.single_flight import SingleFlight

CacheUse = Literal["hit", "miss", "bypass"]


@dataclass(frozen=True, slots=True)
class CachedPage:
    """A MessagePage as JSON bytes, ready to send, and where it came from."""

    body: bytes
    cache: CacheUse


class ChatHistory:
    """Append and read. A read that starts after an append has returned sees that message, on every replica.

    (While Redis is reachable; see app.cache.pages for what holds while it is not.)
    """

    def __init__(self, store: MessageStore, cache: PageCache, reads: SingleFlight[bytes]) -> None:
        self._store = store
        self._cache = cache
        self._reads = reads
        self._appends = 0

    async def append(self, chat_id: UUID, message: NewMessage) -> Message:
        """Store a message; DatabaseUnavailableError when that is not possible."""
        try:
            return await self._store.append(chat_id, message)
        finally:
            # Also after an error: a connection that broke in the commit does not tell whether it happened.
            self._appends += 1
            await self._cache.invalidate(chat_id)

    async def page(self, chat_id: UUID, limit: int, before: int | None) -> CachedPage:
        """A page from Redis, else from PostgreSQL (DatabaseUnavailableError)."""
        lookup = await self._cache.lookup(chat_id, limit, before)
        if lookup.body is not None:
            return CachedPage(lookup.body, "hit")
        # A read that starts after an append must not join one that began before it. The token tells them
        # apart on all replicas; without Redis the number of appends does so in this process.
        key: Hashable = (lookup.key, lookup.token or self._appends)
        body = await self._reads.run(key, lambda: self._load(lookup, chat_id, limit, before))
        return CachedPage(body, "bypass" if lookup.token is None else "miss")

    async def _load(self, lookup: Lookup, chat_id: UUID, limit: int, before: int | None) -> bytes:
        page = await self._store.page(chat_id, limit, before)
        body = page.model_dump_json().encode()
        await self._cache.store(lookup, body)
        return body
