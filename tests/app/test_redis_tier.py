"""L2 over a real Redis: what replicas share, what stays in it, and what it does with what it cannot read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from app.cache.entry import Entry, Key
from app.cache.redis_tier import VERSION_BYTES
from tests.app.servers import RedisServer
from tests.app.tiers import (
    ENTRY,
    HOSTILE,
    KEY,
    TTL_SECONDS,
    World,
    found,
    play,
    put,
    version_of,
)

pytestmark = pytest.mark.app


def test_replicas_share_entries_versions_and_leases(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        one, other = world.rig().tier, world.rig(sender="there").tier
        versions = await asyncio.gather(*(version_of(tier) for tier in (one, other) * 5))
        assert len(set(versions)) == 1, "of those who come first together, all use the first one's version"
        assert await one.lease(KEY, versions[0], 60) is not None
        assert await other.lease(KEY, versions[0], 60) is None
        await put(one)
        assert await found(other) == ENTRY
        await other.invalidate(KEY.group)
        assert await found(one) is None

    play(redis_server, scenario)


def test_nothing_is_kept_for_ever(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        tier = world.rig().tier
        for number in range(20):
            await put(tier, Key("chat", str(number)), ttl_seconds=100)
        await tier.lease(KEY, await version_of(tier), 5)
        await tier.invalidate("another")
        left = {name.decode(): await world.admin.pttl(name) / 1000 for name in await world.admin.keys("*")}
        entries = [seconds for name, seconds in left.items() if name.startswith("pidea:entry:")]
        assert len(entries) == 20
        assert all(80 < seconds <= 100 for seconds in entries)
        assert len({round(seconds) for seconds in entries}) > 1, "they would all expire at once"
        versions = [seconds for name, seconds in left.items() if name.startswith("pidea:version:")]
        assert len(versions) == 2
        assert all(seconds > TTL_SECONDS for seconds in versions), "the version must outlive its entries"
        leases = [seconds for name, seconds in left.items() if name.startswith("pidea:lease:")]
        assert len(leases) == 1
        assert 0 < leases[0] <= 5
        assert len(left) == 23

    play(redis_server, scenario)


def test_all_keys_are_in_the_namespace_however_hostile_their_parts(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        # This account may use no other keys and no other channel, so leaving the namespace would be an error.
        rig = world.rig()
        await world.admin.set("canary", b"untouched")
        for group in HOSTILE:
            for item in HOSTILE:
                key = Key(group, item)
                version = await version_of(rig.tier, key)
                token = await rig.tier.lease(key, version, 60)
                assert await rig.tier.store(key, version, ENTRY, TTL_SECONDS)
                if token is not None:
                    await rig.tier.release(key, version, token)
            await rig.tier.invalidate(group)
        assert rig.failed == []
        names = await world.admin.keys("*")
        assert b"canary" in names
        assert all(name.startswith(b"pidea:") for name in names if name != b"canary")

    play(redis_server, scenario)


def test_two_namespaces_on_one_server_know_nothing_of_each_other(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        one, other = (world.rig("default", namespace=name).tier for name in ("pidea", "pidea-next"))
        await put(one)
        assert await found(other) is None
        await put(other, entry=Entry(b"other", 0.0, 0.0))
        await other.invalidate(KEY.group)
        assert await found(one) == ENTRY

    play(redis_server, scenario)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda data: data[: VERSION_BYTES - 1],
        lambda data: data[:VERSION_BYTES],
        lambda data: data[:-1],
        lambda data: data + b"!",
        lambda data: data[:VERSION_BYTES] + b"\xff" + data[VERSION_BYTES + 1 :],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:VERSION_BYTES] + os.urandom(200),
        lambda data: data[:VERSION_BYTES] + b'{"messages":[]}',
    ],
    ids=["empty", "half-a-version", "only-a-version", "cut", "longer", "magic", "bit", "noise", "plain-json"],
)
def test_unreadable_bytes_are_a_miss_and_are_replaced(
    redis_server: RedisServer, spoil: Callable[[bytes], bytes]
) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig()
        await put(rig.tier)
        (name,) = await world.admin.keys("pidea:entry:*")
        await world.admin.set(name, spoil(await world.admin.get(name)))
        assert await found(rig.tier) is None
        assert await put(rig.tier)
        assert await found(rig.tier) == ENTRY
        assert rig.failed == []

    play(redis_server, scenario)


def test_a_value_of_another_type_is_a_miss_and_is_replaced(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        rig = world.rig()
        await put(rig.tier)
        (name,) = await world.admin.keys("pidea:entry:*")
        await world.admin.delete(name)
        await world.admin.rpush(name, b"a list")
        assert await found(rig.tier) is None
        assert await put(rig.tier)
        assert await found(rig.tier) == ENTRY

    play(redis_server, scenario)


def test_a_version_that_was_lost_takes_its_entries_with_it(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        tier = world.rig().tier
        await put(tier)
        before = await version_of(tier)
        assert await world.admin.delete("pidea:version:chat") == 1
        assert await found(tier) is None
        await tier.store(KEY, before, ENTRY, TTL_SECONDS)
        assert await found(tier) is None

    play(redis_server, scenario)


def test_large_entries_are_compressed_and_read_by_whoever_does_not_compress(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        packing, plain = world.rig().tier, world.rig(compress_above_bytes=10**9).tier
        large = Entry(b"the same words again " * 1_000, 1.0, 2.0)
        small, noise = Entry(b"x" * 1_024, 1.0, 2.0), Entry(os.urandom(20_000), 1.0, 2.0)
        sizes = {}
        for name, entry in (("large", large), ("small", small), ("noise", noise)):
            assert await put(packing, Key("chat", name), entry)
            sizes[name] = await world.admin.strlen(f"pidea:entry:chat:{name}")
            assert await found(plain, Key("chat", name)) == entry
        assert sizes["large"] < len(large.body or b"") / 10
        assert sizes["small"] > 1_024, "what is not above the limit is left alone"
        assert sizes["noise"] > 20_000
        assert await put(plain, Key("chat", "large"), large)
        assert await world.admin.strlen("pidea:entry:chat:large") > 20_000
        assert await found(packing, Key("chat", "large")) == large

    play(redis_server, scenario)
