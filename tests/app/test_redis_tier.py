"""L2 over a real Redis, and what every shared tier promises, on Redis and on its stand-in alike."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvloop
from pydantic import SecretStr

from app.cache import redis_tier
from app.cache.entry import BYPASS, STORED, Entry, Key, Lookup, SharedTier
from app.cache.memory_tier import MemoryTier
from app.cache.redis_tier import VERSION_BYTES, RedisTier
from app.events import BreakerState, CacheFailed, Event, TierLookedUp
from app.resilience.breaker import CircuitBreaker
from app.resilience.bulkhead import Bulkhead
from app.resilience.dependency import Dependency
from app.resilience.retry import RetryBudget
from app.settings import Settings
from app.storage import redis
from app.web.clients import Clients
from tests.app.servers import PASSWORD, WAIT_SECONDS, RedisServer

pytestmark = pytest.mark.app

KEY = Key("chat", "owner:page")
ENTRY = Entry(b'{"messages":[]}', 1_000.5, 0.25)
TTL_SECONDS = 300.0
MAX_ENTRY_BYTES = 100_000
# What a client might try to reach other keys, other clients' answers, or Redis' own commands with.
HOSTILE = [
    "",
    ":",
    "::",
    "a:b",
    "*",
    "[a-z]?",
    "../../etc",
    "pidea:version:chat",
    "other:entry:chat:page",
    "{chat}",
    " ",
    "two words",
    "\r\nFLUSHALL\r\n",
    "$3\r\nGET\r\n",
    "\x00",
    "ж🙂",
    "x" * 5_000,
]


def settings_for(port: int, username: str = "app") -> Settings:
    return Settings(
        clients=Clients({}),
        redis_host="127.0.0.1",
        redis_port=port,
        redis_username=username,
        redis_password=SecretStr(PASSWORD if username == "app" else "any"),
    )


class Rig:
    """One process' tier, its events, and its breaker."""

    def __init__(self, client: Any, **options: Any) -> None:
        self.events: list[Event] = []
        self.breaker = CircuitBreaker(
            "redis", self.events.append, failure_threshold=5, open_seconds=0.05, failures=Dependency.FAILURES
        )
        dependency = Dependency(
            "redis",
            self.events.append,
            breaker=self.breaker,
            bulkhead=Bulkhead("redis", max_running=50, max_waiting=1000),
            retry_budget=RetryBudget(0.1),
            failures=redis.FAILURES,
        )
        values: dict[str, Any] = {
            "sender": "here",
            "namespace": "pidea",
            "ttl_seconds": TTL_SECONDS,
            # Generous: on a busy machine only a stopped Redis may run into it, not a slow one.
            "timeout_seconds": 10.0,
            "compress_above_bytes": 1024,
            "max_entry_bytes": MAX_ENTRY_BYTES,
        }
        self.tier = RedisTier(client, dependency, self.events.append, **values | options)

    @property
    def failed(self) -> list[str]:
        return [event.operation for event in self.events if isinstance(event, CacheFailed)]


class World:
    """Any number of processes' tiers on one server, and an administrator's view of what is in it."""

    def __init__(self, server: RedisServer, stack: AsyncExitStack) -> None:
        self.server = server
        self._stack = stack
        self.admin = self._client("default")

    def _client(self, username: str) -> Any:
        client: Any = redis.client(settings_for(self.server.port, username))
        self._stack.push_async_callback(client.aclose)
        return client

    def rig(self, username: str = "app", **options: Any) -> Rig:
        return Rig(self._client(username), **options)

    def pause(self) -> None:
        self.server.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.server.process.send_signal(signal.SIGCONT)


def play(server: RedisServer, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            world = World(server, stack)
            # Before the clients say goodbye to it.
            stack.callback(world.resume)
            await asyncio.wait_for(scenario(world), WAIT_SECONDS)

    asyncio.run(run())


async def version_of(tier: SharedTier, key: Key = KEY) -> bytes:
    version = (await tier.lookup(key)).version
    assert version is not None
    return version


async def put(tier: SharedTier, key: Key = KEY, entry: Entry = ENTRY, ttl_seconds: float = TTL_SECONDS) -> bool:
    return await tier.store(key, await version_of(tier, key), entry, ttl_seconds)


async def found(tier: SharedTier, key: Key = KEY) -> Entry | None:
    return (await tier.lookup(key)).entry


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        await asyncio.sleep(0.01)


# What SharedTier promises, whoever keeps it.

Contract = Callable[[Callable[[SharedTier, list[Event]], Awaitable[None]]], None]


@pytest.fixture(params=["redis", "memory"])
def contract(request: pytest.FixtureRequest) -> Contract:
    """Plays a scenario against one of the tiers."""

    def against_redis(scenario: Callable[[SharedTier, list[Event]], Awaitable[None]]) -> None:
        async def with_world(world: World) -> None:
            rig = world.rig()
            await scenario(rig.tier, rig.events)
            assert rig.failed == []

        play(request.getfixturevalue("redis_server"), with_world)

    def against_memory(scenario: Callable[[SharedTier, list[Event]], Awaitable[None]]) -> None:
        async def run() -> None:
            events: list[Event] = []
            await scenario(MemoryTier(events.append, max_bytes=MAX_ENTRY_BYTES), events)

        asyncio.run(run())

    return against_redis if request.param == "redis" else against_memory


@pytest.mark.parametrize("body", [b"{}", b"", None, b"text " * 1_000, os.urandom(5_000)])
def test_what_was_stored_comes_back_as_it_was(contract: Contract, body: bytes | None) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        entry = Entry(body, 1_000.5, 0.25)
        assert await put(tier, entry=entry)
        assert await found(tier) == entry

    contract(scenario)


def test_a_group_nobody_asked_for_has_a_version_that_stays(contract: Contract) -> None:
    async def scenario(tier: SharedTier, events: list[Event]) -> None:
        first = await tier.lookup(KEY)
        assert first.version
        assert first.entry is None
        assert await tier.lookup(KEY) == first
        assert await version_of(tier, Key(KEY.group, "another")) == first.version
        assert await version_of(tier, Key("another", KEY.item)) != first.version
        assert [event.hit for event in events if isinstance(event, TierLookedUp)] == [False] * 4

    contract(scenario)


def test_an_entry_whose_load_began_before_a_write_is_never_served(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        before = await version_of(tier)
        await tier.invalidate(KEY.group)
        await tier.store(KEY, before, ENTRY, TTL_SECONDS)
        assert await found(tier) is None
        assert await put(tier, entry=Entry(b"new", 0.0, 0.0))
        await tier.store(KEY, before, ENTRY, TTL_SECONDS)
        late = await found(tier)
        assert late is None or late.body == b"new"

    contract(scenario)


def test_a_write_ends_all_entries_of_its_group_and_no_others(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        mine, also_mine, others = Key("chat", "a"), Key("chat", "b"), Key("chat2", "a")
        for key in (mine, also_mine, others):
            await put(tier, key)
        await tier.invalidate("chat")
        assert [await found(tier, key) for key in (mine, also_mine, others)] == [None, None, ENTRY]

    contract(scenario)


def test_an_entry_is_gone_after_its_time(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        await put(tier, ttl_seconds=0.05)

        async def gone() -> bool:
            return await found(tier) is None

        await until(gone, "the entry expires")

    contract(scenario)


def test_an_entry_that_is_too_large_is_refused(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        assert not await put(tier, entry=Entry(os.urandom(MAX_ENTRY_BYTES), 0.0, 0.0))
        assert await found(tier) is None

    contract(scenario)


def test_of_many_at_once_one_gets_the_lease(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        version = await version_of(tier)
        tokens = await asyncio.gather(*(tier.lease(KEY, version, 60) for _ in range(20)))
        assert sum(token is not None for token in tokens) == 1

    contract(scenario)


def test_a_lease_that_was_given_back_can_be_taken_again(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        version = await version_of(tier)
        token = await tier.lease(KEY, version, 60)
        assert token is not None
        assert await tier.lease(KEY, version, 60) is None
        await tier.release(KEY, version, token)
        again = await tier.lease(KEY, version, 60)
        assert again not in (None, token)

    contract(scenario)


def test_leases_of_other_entries_and_of_later_versions_are_others(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        version = await version_of(tier)
        assert await tier.lease(KEY, version, 60) is not None
        other = Key(KEY.group, "other")
        assert await tier.lease(other, version, 60) is not None
        await tier.invalidate(KEY.group)
        assert await tier.lease(KEY, await version_of(tier), 60) is not None

    contract(scenario)


def test_a_lease_ends_by_itself(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        version = await version_of(tier)
        assert await tier.lease(KEY, version, 0.05) is not None

        async def free() -> bool:
            return await tier.lease(KEY, version, 60) is not None

        await until(free, "the lease ends")

    contract(scenario)


def test_a_lease_tells_that_its_entry_is_stored(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        version = await version_of(tier)
        lease = await tier.lease(KEY, version, 60)
        assert await tier.lease(KEY, version, 60) is None, "somebody is loading"
        assert await tier.store(KEY, version, ENTRY, TTL_SECONDS, lease)
        assert await tier.lease(KEY, version, 60) == STORED

        async def free() -> bool:
            return await tier.lease(KEY, version, 60) not in (None, STORED)

        await until(free, "the mark ends")

    contract(scenario)


def test_giving_back_a_lease_that_nobody_has_does_nothing(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        version = await version_of(tier)
        await tier.release(KEY, version, b"made up")
        assert await tier.lease(KEY, version, 60) is not None

    contract(scenario)


def test_upkeep_without_anything_to_do_changes_nothing(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        await put(tier)
        await tier.maintain()
        assert await found(tier) == ENTRY

    contract(scenario)


def test_nobody_is_served_what_is_kept_under_another_name(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        keys = [Key(group, item) for group in HOSTILE for item in ("", ":", "a:b", "b", "\r\nGET x\r\n")]
        # These are written alike where a colon parts the group from the item.
        keys += [Key("a", "b:c"), Key("a:b", "c"), Key("a:b:c", "")]
        for key in keys:
            await put(tier, key, Entry(repr(key).encode(), 0.0, 0.0))
            own = await found(tier, key)
            assert own is not None
            assert own.body == repr(key).encode()
        for key in keys:
            kept = await found(tier, key)
            assert kept is None or kept.body == repr(key).encode()
        for group in HOSTILE:
            await tier.invalidate(group)
            assert await found(tier, Key(group, "b")) is None

    contract(scenario)


def test_of_many_lookups_at_once_each_gets_its_own_answer(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        keys = [Key(f"chat{number % 20}", str(number)) for number in range(100)]
        for key in keys[::2]:
            await put(tier, key, Entry(key.item.encode(), 0.0, 0.0))
        answers = await asyncio.gather(*(tier.lookup(key) for key in keys))
        bodies = [answer.entry.body if answer.entry else None for answer in answers]
        assert bodies == [key.item.encode() if number % 2 == 0 else None for number, key in enumerate(keys)]
        versions = {(key.group, answer.version) for key, answer in zip(keys, answers, strict=True)}
        assert len(versions) == len({version for _, version in versions}) == 20

    contract(scenario)


def test_who_leaves_a_lookup_leaves_the_others_alone(contract: Contract) -> None:
    async def scenario(tier: SharedTier, _: list[Event]) -> None:
        await put(tier)
        lookups = [asyncio.create_task(tier.lookup(KEY)) for _ in range(3)]
        await asyncio.sleep(0)
        lookups[0].cancel()
        results = await asyncio.gather(*lookups, return_exceptions=True)
        # The stand-in has answered before anybody can leave.
        assert isinstance(results[0], (asyncio.CancelledError, Lookup))
        assert [result.entry for result in results[1:] if isinstance(result, Lookup)] == [ENTRY, ENTRY]

    contract(scenario)


# What is Redis' own.


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
