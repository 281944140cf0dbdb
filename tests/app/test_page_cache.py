"""The cache's invalidation against a real Redis, step by step where the order matters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from app.cache.pages import MAX_PAGE_BYTES, PageCache
from redis.asyncio import Redis

from app.events import Event
from app.resilience.breaker import CircuitBreaker
from tests.app.servers import PASSWORD, RedisServer

pytestmark = pytest.mark.app

Scenario = Callable[[PageCache, PageCache, "Redis"], Awaitable[None]]


def play(server: RedisServer, scenario: Scenario) -> None:
    """Run a scenario with the caches of two replicas."""

    async def run() -> None:
        events: list[Event] = []
        redis = Redis(port=server.port, username="app", password=PASSWORD)
        caches = [
            PageCache(
                redis,
                CircuitBreaker("redis", events.append),
                events.append,
                ttl_seconds=300,
                timeout_seconds=5,
            )
            for _ in range(2)
        ]
        async with redis:
            await scenario(caches[0], caches[1], redis)

    asyncio.run(run())


def test_a_page_read_before_an_append_is_never_used_after_it(redis_server: RedisServer) -> None:
    chat = uuid4()

    async def scenario(reader: PageCache, writer: PageCache, _: Redis) -> None:
        early = await reader.lookup(chat, 50, None)
        # … the reader reads PostgreSQL here, the writer commits …
        await writer.invalidate(chat)
        await reader.store(early, b"old")
        late = await writer.lookup(chat, 50, None)
        assert (late.body, late.token != early.token) == (None, True)
        await writer.store(late, b"new")
        assert (await reader.lookup(chat, 50, None)).body == b"new"
        # A slow reader overwrites the new page with the old one: seen as a miss, not as a hit.
        await reader.store(early, b"old")
        assert (await reader.lookup(chat, 50, None)).body is None

    play(redis_server, scenario)


def test_eviction_of_the_token_does_not_revive_old_pages(redis_server: RedisServer) -> None:
    chat = uuid4()

    async def scenario(one: PageCache, other: PageCache, _: Redis) -> None:
        await one.store(await one.lookup(chat, 50, None), b"old")
        async with Redis(port=redis_server.port) as admin:
            assert await admin.delete(f"pidea:chat:{chat}:token") == 1
        lookups = await asyncio.gather(*(cache.lookup(chat, 50, None) for cache in (one, other) * 5))
        assert {lookup.body for lookup in lookups} == {None}
        assert len({lookup.token for lookup in lookups}) == 1

    play(redis_server, scenario)


def test_every_key_expires_and_pages_are_apart(redis_server: RedisServer) -> None:
    chat = uuid4()

    async def scenario(cache: PageCache, _: PageCache, __: Redis) -> None:
        await cache.store(await cache.lookup(chat, 50, None), b"newest")
        await cache.store(await cache.lookup(chat, 50, 7), b"before 7")
        await cache.store(await cache.lookup(chat, 10, 7), b"ten")
        assert (await cache.lookup(chat, 50, 7)).body == b"before 7"
        await cache.store(await cache.lookup(uuid4(), 50, None), b"x" * (MAX_PAGE_BYTES + 1))
        async with Redis(port=redis_server.port) as admin:
            keys: list[bytes] = [key async for key in admin.scan_iter()]
            assert sorted(key.rpartition(b":")[2] for key in keys) == [
                b"7",
                b"7",
                b"newest",
                b"token",
                b"token",
            ]
            assert all([0 < await admin.ttl(key) <= 24 * 3600 for key in keys])

    play(redis_server, scenario)
