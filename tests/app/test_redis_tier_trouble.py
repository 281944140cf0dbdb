"""L2 while Redis is full, hangs, forgets or is away: only time is lost, and nothing old is served."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from app.cache import redis_tier
from app.cache.entry import BYPASS, Entry, Key
from app.events import BreakerState
from app.storage import redis
from tests.app.servers import RedisServer
from tests.app.tiers import (
    ENTRY,
    KEY,
    TTL_SECONDS,
    World,
    found,
    play,
    put,
    settings_for,
    until,
    version_of,
)

pytestmark = pytest.mark.app


async def limit_memory(world: World, more_bytes: int, policy: str) -> None:
    used = (await world.admin.info("memory"))["used_memory"]
    await world.admin.config_set("maxmemory-policy", policy)
    await world.admin.config_set("maxmemory", used + more_bytes)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-ttl"])
def test_eviction_only_costs_misses(redis_server: RedisServer, policy: str) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig()
        await limit_memory(world, 1_000_000, policy)
        keys = [Key(f"chat{number % 50}", str(number)) for number in range(500)]
        written = dict.fromkeys(range(50), 0)
        for number, key in enumerate(keys):
            if number % 7 == 0:
                written[number % 50] = number
                await rig.tier.invalidate(key.group)
            body = b"%d " % written[number % 50] + os.urandom(8_000)
            assert await put(rig.tier, key, Entry(body, 0.0, 0.0))
        assert (await world.admin.info("stats"))["evicted_keys"] > 100
        hits = 0
        for number, key in enumerate(keys):
            entry = await found(rig.tier, key)
            if entry is not None:
                hits += 1
                assert int((entry.body or b"").split(b" ", 1)[0]) == written[number % 50]
        assert hits < len(keys)
        assert (rig.failed, rig.breaker.state) == ([], BreakerState.CLOSED)

    play(redis_server, scenario)


def test_a_full_redis_that_evicts_nothing_never_keeps_an_old_answer(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig()
        await put(rig.tier)
        await limit_memory(world, -1, "noeviction")
        assert not await put(rig.tier, entry=Entry(b"new", 0.0, 0.0))
        await rig.tier.invalidate(KEY.group)
        assert rig.tier.pending_invalidations == 1
        assert await rig.tier.lookup(KEY) == BYPASS
        await world.admin.config_set("maxmemory", 0)
        await rig.tier.maintain()
        assert rig.tier.pending_invalidations == 0
        after = await rig.tier.lookup(KEY)
        assert (after.entry, after.version is None) == (None, False)

    play(redis_server, scenario)


def test_while_redis_hangs_every_call_ends_in_time_with_the_safe_answer(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig(timeout_seconds=0.4)
        version = await version_of(rig.tier)
        world.pause()
        began = time.monotonic()
        assert await rig.tier.lookup(KEY) == BYPASS
        assert not await rig.tier.store(KEY, version, ENTRY, TTL_SECONDS)
        token = await rig.tier.lease(KEY, version, 5)
        assert token is not None, "who cannot be told loads itself"
        await rig.tier.release(KEY, version, token)
        # A half for looking, a half for storing, a quarter each for the lease: 0.6 s, and what the machine adds.
        assert time.monotonic() - began < 2.0
        assert rig.failed == ["lookup", "store", "lease", "release"]

    play(redis_server, scenario)


def test_a_write_that_redis_did_not_hear_of_is_told_later_and_nothing_old_is_served_before(
    redis_server: RedisServer,
) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig(timeout_seconds=0.3)
        await put(rig.tier)
        await put(rig.tier, Key("chat2", "page"))
        world.pause()
        await rig.tier.invalidate(KEY.group)
        assert rig.tier.pending_invalidations == 1
        world.resume()
        assert await rig.tier.lookup(KEY) == BYPASS, "Redis is back and does not know"
        assert await found(rig.tier, Key("chat2", "page")) == ENTRY, "other groups are used"

        async def told() -> bool:
            await rig.tier.maintain()
            return rig.tier.pending_invalidations == 0

        await until(told, "the invalidation is sent")
        after = await rig.tier.lookup(KEY)
        assert (after.entry, after.version is None) == (None, False)

    play(redis_server, scenario)


def test_who_reads_while_a_write_is_being_told_waits_for_that_and_can_store(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig(timeout_seconds=4.0)
        await put(rig.tier)
        telling = asyncio.create_task(rig.tier.invalidate(KEY.group))
        await asyncio.sleep(0)
        assert rig.tier.pending_invalidations == 1, "it is on its way"
        read = await rig.tier.lookup(KEY)
        assert (read.entry, read.version is None) == (None, False), "neither the old entry nor a detour"
        await telling

    play(redis_server, scenario)


def test_what_was_told_lately_is_told_again_after_a_gap(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig()
        old = await version_of(rig.tier)
        await put(rig.tier)
        await rig.tier.invalidate(KEY.group)
        # What a new primary looks like that heard of the entry and not of the write.
        await rig.tier._redis.set(f"pidea:version:{KEY.group}", old)
        assert await found(rig.tier) == ENTRY, "it looks good"
        rig.tier.missed_messages()
        assert await rig.tier.lookup(KEY) == BYPASS
        await rig.tier.maintain()
        assert (rig.tier.pending_invalidations, await found(rig.tier)) == (0, None)
        rig.tier.missed_messages()
        assert rig.tier.pending_invalidations == 1, "the next gap may come soon"

    play(redis_server, scenario)


def test_a_writer_that_is_cancelled_leaves_its_invalidation_to_the_upkeep(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig()
        await put(rig.tier)
        world.pause()
        writing = asyncio.create_task(rig.tier.invalidate(KEY.group))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        world.resume()
        assert rig.tier.pending_invalidations == 1
        assert await rig.tier.lookup(KEY) == BYPASS
        await rig.tier.maintain()
        assert rig.tier.pending_invalidations == 0
        assert await found(rig.tier) is None

    play(redis_server, scenario)


def test_what_waits_for_redis_is_bounded_and_is_dropped_when_it_is_not_needed_any_more(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        monkeypatch.setattr(redis_tier, "MAX_PENDING", 3)
        rig = world.rig(ttl_seconds=1.0)
        redis_server.stop()
        for number in range(10):
            await rig.tier.invalidate(str(number))
        assert rig.tier.pending_invalidations == 3
        for number in (7, 8, 9):
            assert await rig.tier.lookup(Key(str(number), "page")) == BYPASS

        async def forgotten() -> bool:
            await rig.tier.maintain()
            return rig.tier.pending_invalidations == 0

        await until(forgotten, "every entry that it could be about has expired")

    play(redis_server, scenario)


def test_upkeep_alone_finds_out_that_redis_is_back(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig()
        redis_server.stop()
        for _ in range(5):
            assert await rig.tier.lookup(KEY) == BYPASS
        assert rig.breaker.state is BreakerState.OPEN
        failed = len(rig.failed)
        assert await rig.tier.lookup(KEY) == BYPASS
        assert len(rig.failed) == failed, "an open breaker is no new failure"
        redis_server.start()

        async def closed() -> bool:
            await rig.tier.maintain()
            return rig.breaker.state is BreakerState.CLOSED

        await until(closed, "the breaker closes")
        assert await put(rig.tier)
        assert await found(rig.tier) == ENTRY

    play(redis_server, scenario)


@asynccontextmanager
async def listening(world: World) -> AsyncIterator[Any]:
    """A subscription to the invalidations, after its confirmation."""
    pubsub = world.admin.pubsub()
    await pubsub.subscribe("pidea:invalidations")
    assert (await pubsub.get_message(timeout=10))["type"] == "subscribe"
    try:
        yield pubsub
    finally:
        await pubsub.aclose()


def test_who_hears_of_a_write_finds_its_version(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        writer, reader = world.rig(sender="writer").tier, world.rig().tier
        async with listening(world) as pubsub:
            for number in range(20):
                group = f"two words {number}"
                before = await version_of(reader, Key(group, "page"))
                writing = asyncio.create_task(writer.invalidate(group))
                message = await pubsub.get_message(timeout=10)
                assert message["data"] == f"writer {group}".encode()
                assert await version_of(reader, Key(group, "page")) != before
                await writing

    play(redis_server, scenario)


def test_a_connection_that_ended_meanwhile_is_a_failure_of_redis(redis_server: RedisServer) -> None:
    async def send() -> None:
        client = redis.client(settings_for(redis_server.port))
        # redis-py's own function has no types.
        connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        try:
            with pytest.raises(redis.FAILURES):
                await connection.send_command("PING")
        finally:
            await connection.disconnect(nowait=True)
            await client.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(send())
