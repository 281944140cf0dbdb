"""Two writers: one follows the sentinels and wants a replica's word, one stays with its connection while it lives."""

from __future__ import annotations

import contextlib

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from chaos import redis_clients
from chaos.lines import reason
from chaos.settings import Settings

FAILURES = (RedisError, OSError, TimeoutError)
# What makes even the sticky one ask the sentinels anew. "Not enough replicas" does not: its server is still there.
GONE = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OSError, TimeoutError)
# A check comes soon after the run; what is left afterwards goes by itself.
KEPT_SECONDS = 3600
# How long a replica's word is waited for. An idle replica answers within a few milliseconds.
WAIT_MS = 250


def key(store: str, writer: str, number: int) -> str:
    """Where a write is stored."""
    return f"pidea:chaos:{store}:{writer}:{number}"


class Follower:
    """SET, then WAIT 1, as one message to the primary that the sentinels name."""

    def __init__(self, settings: Settings, writer: str) -> None:
        self._writer = writer
        known = redis_clients.sentinels(settings) if settings.sentinels else None
        options = redis_clients.options(settings)
        if known is None:
            self._server = next(iter(settings.redis.values()))
            self._client = Redis(host=self._server, port=settings.ports["redis"], **options)
        else:
            self._server = ""
            self._client = known.master_for(settings.service, redis_class=Redis, **options)

    async def write(self, number: int) -> tuple[str, str, str]:
        """(outcome, server, error)."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.set(key("redis", self._writer, number), "1", ex=KEPT_SECONDS)
                pipeline.execute_command("WAIT", 1, WAIT_MS)
                _, replicas = await pipeline.execute()
        except FAILURES as error:
            if isinstance(error, ResponseError):
                # It is there and takes no writes, for want of space or replicas, and may have been replaced without its
                # knowledge: the next write asks the sentinels. The application's listener does that by its own pings.
                await self._client.connection_pool.disconnect()
            return "failed", self._host, reason(error)
        return ("acknowledged" if replicas >= 1 else "accepted"), self._host, ""

    @property
    def _host(self) -> str:
        address = getattr(self._client.connection_pool, "master_address", None)
        return str(address[0]) if address else self._server


class Sticky:
    """SET alone, over a connection that is given up only when it breaks or its server says that it is a replica."""

    def __init__(self, settings: Settings, writer: str) -> None:
        self._settings = settings
        self._writer = writer
        self._known = redis_clients.sentinels(settings) if settings.sentinels else None
        self._client: Redis | None = None
        self._host = ""

    async def write(self, number: int) -> tuple[str, str, str]:
        """(outcome, server, error)."""
        try:
            if self._client is None:
                self._host = await redis_clients.primary_host(self._settings, self._known)
                self._client = redis_clients.to_server(self._settings, self._host)
            await self._client.set(key("sticky", self._writer, number), "1", ex=KEPT_SECONDS)
        except FAILURES as error:
            if isinstance(error, GONE):
                await self._leave()
            return "failed", self._host, reason(error)
        return "accepted", self._host, ""

    async def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(*FAILURES):
                await client.aclose()
