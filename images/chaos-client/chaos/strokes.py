"""What is over at once: `python -m chaos.strokes WHAT ARGUMENT…`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
from redis.exceptions import RedisError

from chaos import redis_clients
from chaos import settings as reading
from chaos.postgres_writer import connect
from chaos.settings import Settings

_WAIT_SECONDS = 20.0
# Two locks that nobody else asks for.
_LOCK = "SELECT pg_advisory_xact_lock(7263, $1)"


async def deadlocks(settings: Settings, count: str) -> None:
    """Two transactions that wait for one another, so many times one after the other."""
    _, one = await connect(settings)
    _, other = await connect(settings)
    for _ in range(int(count)):
        for connection, lock in ((one, 1), (other, 2)):
            await connection.execute("BEGIN")
            await connection.fetchval(_LOCK, lock, timeout=_WAIT_SECONDS)
        ends = await asyncio.gather(
            one.fetchval(_LOCK, 2, timeout=_WAIT_SECONDS),
            other.fetchval(_LOCK, 1, timeout=_WAIT_SECONDS),
            return_exceptions=True,
        )
        for connection in (one, other):
            await connection.execute("ROLLBACK")
        if not any(isinstance(end, asyncpg.DeadlockDetectedError) for end in ends):
            raise RuntimeError(f"PostgreSQL ended neither of the two: {ends}")
    await one.close()
    await other.close()


async def refused(settings: Settings, count: str) -> None:
    """Redis has room for no more connections than there are, until so many were refused."""
    client = redis_clients.to_server(settings, next(iter(settings.redis.values())))
    most = (await client.config_get("maxclients"))["maxclients"]
    async with asyncio.timeout(_WAIT_SECONDS):
        before = int((await client.info("stats"))["rejected_connections"])
        try:
            await client.config_set("maxclients", int((await client.info("clients"))["connected_clients"]))
            while int((await client.info("stats"))["rejected_connections"]) < before + int(count):
                another = redis_clients.to_server(settings, next(iter(settings.redis.values())))
                with contextlib.suppress(RedisError, OSError):
                    await another.ping()
                await another.aclose()
        finally:
            await client.config_set("maxclients", most)
    await client.aclose()


async def rewrite(settings: Settings) -> None:
    """Redis begins a new append-only file; returns when it is at work with it."""
    client = redis_clients.to_server(settings, next(iter(settings.redis.values())))
    await client.bgrewriteaof()
    async with asyncio.timeout(_WAIT_SECONDS):
        while (await client.info("persistence"))["aof_rewrite_in_progress"]:
            await asyncio.sleep(0.1)
    await client.aclose()


WHAT: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "deadlocks": deadlocks,
    "refused": refused,
    "rewrite": rewrite,
}

if __name__ == "__main__":
    _what, *_arguments = sys.argv[1:]
    asyncio.run(WHAT[_what](reading.load(), *_arguments))
