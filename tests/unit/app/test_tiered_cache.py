"""Coherence of the tiers on several replicas, and what they do when a tier or the origin is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import context
from app.cache import tiered
from app.cache.entry import BYPASS, STORED, Entry, Key, Lookup
from app.cache.local import LocalTier
from app.cache.memory_tier import MemoryTier
from app.cache.tiered import Cached, Limits, TieredCache
from app.context import BASELINE, OPTIMISED, Variant
from app.errors import CallFailedError, NotFoundError
from app.events import CacheRefreshed, Event, ReadServed, ReadShared
from app.resilience.single_flight import SingleFlight

KEY = Key("chat", "page")


class Disk:
    """L3 in memory, as app.cache.entry.DurableStore wants it."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}

    async def get(self, key: Key) -> Entry | None:
        return self.entries.get(key)

    def put_soon(self, key: Key, entry: Entry) -> None:
        self.entries[key] = entry

    def drop_soon(self, group: str) -> None:
        self.entries = {key: entry for key, entry in self.entries.items() if key.group != group}


class Slow(MemoryTier):
    """The tier that replicas share, with a network in between: every operation takes some turns of the loop."""

    turns = 0
    # An invalidation may take longer than a lookup that overtakes it.
    more_turns_for_writes = 0
    away = False
    on_store: Callable[[bytes | None], None] = staticmethod(lambda _: None)

    def evict(self, key: Key) -> None:
        self._remove(key)

    async def _travel(self, more: int = 0) -> None:
        for _ in range(self.turns + more):
            await asyncio.sleep(0)

    async def lookup(self, key: Key) -> Lookup:
        await self._travel()
        found = BYPASS if self.away else await super().lookup(key)
        await self._travel()
        return found

    async def store(
        self, key: Key, version: bytes, entry: Entry, ttl_seconds: float, lease: bytes | None = None
    ) -> bool:
        await self._travel()
        self.on_store(entry.body)
        return not self.away and await super().store(key, version, entry, ttl_seconds, lease)

    async def invalidate(self, group: str, *, perhaps: bool = False) -> None:
        await self._travel(self.more_turns_for_writes)
        await super().invalidate(group, perhaps=perhaps)
        await self._travel()


@dataclass
class World:
    """Replicas over one shared tier and one origin that counts how often it is asked."""

    replicas: int = 1
    l1_seconds: float = 3600.0
    limits: Limits = field(default_factory=lambda: Limits(300, 10, 5))
    value: int = 0
    loads: int = 0
    turns: int = 0
    broken: bool = False
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.disk = Disk()
        self.shared = Slow(lambda _: None, max_bytes=10**6)
        self.caches = [self._cache() for _ in range(self.replicas)]

    def _cache(self) -> TieredCache:
        def flights() -> SingleFlight[Any]:
            return SingleFlight(self.events.append, timeout_seconds=5, execution_seconds=10, max_flights=1000)

        return TieredCache(
            local=LocalTier(max_bytes=10**6, ttl_seconds=self.l1_seconds),
            shared=self.shared,
            durable=self.disk,
            lookups=flights(),
            loads=flights(),
            limits=self.limits,
            bucket_seconds=3600,
            emit=self.events.append,
        )

    async def load(self) -> bytes | None:
        self.loads += 1
        value = self.value
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.broken:
            raise CallFailedError("postgres", "gone")
        return b"%d" % value

    async def read(self, replica: int = 0, key: Key = KEY) -> Cached:
        return await self.caches[replica].read(key, self.load)

    async def write(self, replica: int = 0) -> int:
        """Commit, invalidate, return; what was written."""
        self.value += 1
        written = self.value
        await self.caches[replica].invalidate(KEY.group)
        return written

    async def settle(self) -> None:
        for cache in self.caches:
            await cache.close()


def play(scenario: Callable[[World], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        world = World(**options)
        await scenario(world)
        await world.settle()

    asyncio.run(run())


def test_each_tier_answers_before_the_next() -> None:
    async def scenario(world: World) -> None:
        first = await world.read(0)
        await world.settle()
        assert (first.body, first.source) == (b"0", "origin")
        assert [(await world.read(0)).source, (await world.read(1)).source] == ["l1", "l2"]
        assert (await world.read(1)).source == "l1"
        assert world.loads == 1

    play(scenario, replicas=2)


# What happens: who does what, and how many turns of the loop later the next thing begins.
STEP = st.tuples(st.sampled_from(["read", "write"]), st.integers(0, 2), st.integers(0, 6))


@settings(deadline=None, max_examples=300)
@given(steps=st.lists(STEP, max_size=14), network=st.integers(0, 3), origin=st.integers(0, 6))
def test_a_read_sees_every_write_that_returned_before_it_on_its_replica(
    steps: list[tuple[str, int, int]], network: int, origin: int
) -> None:
    """In whatever way reads, writes and the network's delays interleave, messages lost or not."""

    async def scenario(world: World) -> None:
        world.turns, world.shared.turns = origin, network
        returned = [0, 0, 0]

        async def write(replica: int) -> None:
            written = await world.write(replica)
            returned[replica] = max(returned[replica], written)

        async def read(replica: int) -> None:
            at_least = returned[replica]
            served = await world.read(replica)
            assert served.body is not None
            assert int(served.body) >= at_least

        tasks = []
        for what, replica, turns in steps:
            tasks.append(asyncio.create_task(write(replica) if what == "write" else read(replica)))
            for _ in range(turns):
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    play(scenario, replicas=3)


@settings(deadline=None, max_examples=300)
@given(steps=st.lists(STEP, max_size=14), network=st.integers(0, 3), origin=st.integers(0, 6))
def test_without_l1_a_read_sees_every_write_that_returned_before_it_anywhere(
    steps: list[tuple[str, int, int]], network: int, origin: int
) -> None:
    async def scenario(world: World) -> None:
        world.turns, world.shared.turns = origin, network
        returned = [0]

        async def write(replica: int) -> None:
            written = await world.write(replica)
            returned[0] = max(returned[0], written)

        async def read(replica: int) -> None:
            at_least = returned[0]
            served = await world.read(replica)
            assert served.body is not None
            assert int(served.body) >= at_least

        async def act(what: str, replica: int) -> None:
            # Sharing of lookups trades exactly this for less work; see the module.
            context.use_variant(Variant("no-l1", l1=False, dedup=False))
            await (write(replica) if what == "write" else read(replica))

        tasks = []
        for what, replica, turns in steps:
            tasks.append(asyncio.create_task(act(what, replica)))
            for _ in range(turns):
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    play(scenario, replicas=3)


def test_a_read_during_an_invalidation_does_not_bring_the_old_entry_back() -> None:
    async def scenario(world: World) -> None:
        await world.read()
        await world.settle()
        world.shared.more_turns_for_writes = 20
        writing = asyncio.create_task(world.write())
        await asyncio.sleep(0)
        # L1 has dropped the entry, the shared tier still has it.
        reading = asyncio.create_task(world.read())
        await asyncio.gather(writing, reading)
        assert (await world.read()).body == b"1"

    play(scenario)


def test_a_read_does_not_join_one_that_began_before_a_write() -> None:
    async def scenario(world: World) -> None:
        gate = asyncio.Event()

        async def slow() -> bytes | None:
            value = b"%d" % world.value
            await gate.wait()
            return value

        early = asyncio.create_task(world.caches[0].read(KEY, slow))
        for _ in range(10):
            await asyncio.sleep(0)
        await world.write()
        late = asyncio.create_task(world.read())
        for _ in range(10):
            await asyncio.sleep(0)
        gate.set()
        assert ((await early).body, (await late).body) == (b"0", b"1")

    play(scenario)


def test_a_message_of_another_replica_ends_what_l1_has() -> None:
    async def scenario(world: World) -> None:
        await world.read(1)
        await world.settle()
        await world.write(0)
        assert (await world.read(1)).body == b"0", "L1 does not know yet"
        world.caches[1].dropped_elsewhere(KEY.group, perhaps=False)
        assert (await world.read(1)).body == b"1"
        await world.write(0)
        world.caches[1].missed_messages()
        assert (await world.read(1)).body == b"2"

    play(scenario, replicas=2)


@pytest.mark.parametrize("perhaps", [True, False])
def test_a_write_that_perhaps_happened_leaves_the_last_resort(perhaps: bool) -> None:
    async def scenario(world: World) -> None:
        await world.read()
        await world.caches[0].invalidate(KEY.group, perhaps=perhaps)
        assert (KEY in world.disk.entries) == perhaps
        await world.read()
        assert world.loads == 2, "L1 and L2 do not serve it any more"
        world.caches[0].dropped_elsewhere(KEY.group, perhaps)
        assert (KEY in world.disk.entries) == perhaps
        if perhaps:
            world.broken = True
            await world.caches[0].invalidate(KEY.group, perhaps=True)
            assert (await world.read()).stale

    play(scenario)


def test_ten_thousand_reads_on_two_replicas_are_one_load() -> None:
    async def scenario(world: World) -> None:
        world.turns, world.shared.turns = 5, 2
        served = await asyncio.gather(*(world.read(number % 2) for number in range(10_000)))
        assert {read.body for read in served} == {b"0"}
        assert world.loads == 1
        assert ReadShared(across_replicas=True) in world.events
        assert sum(isinstance(event, ReadServed) for event in world.events) == 10_000

    play(scenario, replicas=2)


def test_a_replica_that_looked_too_early_does_not_load_again() -> None:
    async def scenario(world: World) -> None:
        early = await world.shared.lookup(KEY)
        await world.read(0)
        await world.settle()
        assert early.version is not None
        assert await world.shared.lease(KEY, early.version, 5) == STORED

    play(scenario)


def test_nobody_waits_for_an_entry_that_was_there_and_is_gone() -> None:
    async def scenario(world: World) -> None:
        await world.read(0)
        await world.settle()
        world.shared.evict(KEY)
        served = await asyncio.wait_for(world.read(1), 1)
        assert (served.source, world.loads) == ("origin", 2)

    play(scenario, replicas=2)


def test_what_a_write_has_overtaken_does_not_take_the_place_of_what_is_read_after_it() -> None:
    async def scenario(world: World) -> None:
        gate = asyncio.Event()

        async def slow() -> bytes | None:
            world.loads += 1
            await gate.wait()
            return b"old"

        early = asyncio.create_task(world.caches[0].read(KEY, slow))
        while world.loads == 0:
            await asyncio.sleep(0)
        await world.write(1)
        world.caches[0].dropped_elsewhere(KEY.group, perhaps=False)
        await world.read(1)
        await world.settle()
        stored: list[bytes | None] = []
        world.shared.on_store = stored.append
        gate.set()
        assert (await early).body == b"old"
        await world.settle()
        assert stored == []

    play(scenario, replicas=2)


def test_the_replica_that_waited_loads_itself_when_the_other_gives_up() -> None:
    async def scenario(world: World) -> None:
        version = (await world.shared.lookup(KEY)).version
        assert version is not None
        lease = await world.shared.lease(KEY, version, 3600)
        assert lease is not None
        waiting = asyncio.create_task(world.read(0))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await world.shared.release(KEY, version, lease)
        assert (await waiting).source == "origin"

    play(scenario)


def test_waiting_for_a_dead_replica_ends() -> None:
    async def scenario(world: World) -> None:
        version = (await world.shared.lookup(KEY)).version
        assert version is not None
        await world.shared.lease(KEY, version, 3600)
        assert (await world.read(0)).source == "origin"

    play(scenario, limits=Limits(300, 10, 0.05))


def test_without_the_shared_tier_reads_go_to_the_origin() -> None:
    async def scenario(world: World) -> None:
        world.shared.away = True
        assert (await world.read()).source == "origin"
        assert (await world.read()).source == "l1"
        assert await world.write() == 1
        assert (await world.read()).body == b"1"

    play(scenario)


def test_l3_answers_only_when_the_origin_is_away() -> None:
    async def scenario(world: World) -> None:
        await world.read()
        world.shared.away, world.broken = True, True
        world.caches[0].missed_messages()
        last_resort = await world.read()
        assert (last_resort.body, last_resort.source, last_resort.stale) == (b"0", "l3", True)
        await world.write()
        with pytest.raises(CallFailedError):
            await world.read()

    play(scenario)


def test_other_errors_of_the_origin_are_not_covered_up() -> None:
    async def scenario(world: World) -> None:
        await world.read()
        world.caches[0].missed_messages()
        world.shared.away = True

        async def load() -> bytes | None:
            raise NotFoundError("a bug")

        with pytest.raises(NotFoundError):
            await world.caches[0].read(KEY, load)

    play(scenario)


def test_what_does_not_exist_is_remembered_for_a_moment() -> None:
    async def scenario(world: World) -> None:
        calls = 0

        async def load() -> bytes | None:
            nonlocal calls
            calls += 1
            return None

        for _ in range(3):
            assert (await world.caches[0].read(KEY, load)).body is None
            await world.settle()
        assert calls == 1
        assert KEY not in world.disk.entries
        await world.write()
        assert (await world.caches[0].read(KEY, world.load)).body == b"1"

    play(scenario)


def test_an_entry_near_its_end_is_loaded_again_behind_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        await world.read()
        await world.settle()
        monkeypatch.setattr("random.random", lambda: 0.0)
        assert (await world.read()).source == "l2"
        await world.settle()
        assert world.loads == 1, "young entries are left alone"
        monkeypatch.setattr("random.random", lambda: 0.999_999)
        monkeypatch.setattr(tiered, "EARLY_PART", 1.0)
        # The load that made the entry holds its lease for a while, against those who looked before it was stored.
        world.shared._leases.clear()
        served = await world.read()
        assert (served.source, served.body) == ("l2", b"0")
        await world.settle()
        assert (world.loads, CacheRefreshed() in world.events) == (2, True)

    play(scenario, l1_seconds=0)


@pytest.mark.parametrize(
    ("variant", "sources"),
    [
        (OPTIMISED, ["origin", "l1"]),
        (Variant("no-l1", l1=False), ["origin", "l2"]),
        (Variant("l1-only", l2=False), ["origin", "l1"]),
        (BASELINE, ["origin", "origin"]),
    ],
)
def test_each_optimisation_can_be_switched_off(variant: Variant, sources: list[str]) -> None:
    async def scenario(world: World) -> None:
        context.use_variant(variant)
        seen = []
        for _ in range(2):
            seen.append((await world.read()).source)
            await world.settle()
        assert seen == sources
        assert (KEY in world.disk.entries) == variant.l3

    play(scenario)


def test_who_writes_in_any_variant_ends_what_the_others_have() -> None:
    async def scenario(world: World) -> None:
        await world.read(0)

        async def write() -> None:
            context.use_variant(BASELINE)
            await world.write(0)

        await asyncio.create_task(write())
        assert (await world.read(0)).body == b"1"

    play(scenario)


def test_a_reader_that_is_cancelled_leaves_the_others_alone() -> None:
    async def scenario(world: World) -> None:
        world.turns = 10
        readers = [asyncio.create_task(world.read()) for _ in range(3)]
        for _ in range(4):
            await asyncio.sleep(0)
        readers[0].cancel()
        results = await asyncio.gather(*readers, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert [read.body for read in results[1:] if isinstance(read, Cached)] == [b"0", b"0"]
        assert world.loads == 1

    play(scenario)


def test_an_entry_of_a_replica_whose_clock_is_ahead_is_served_as_new() -> None:
    async def scenario(world: World) -> None:
        version = (await world.shared.lookup(KEY)).version
        assert version is not None
        await world.shared.store(KEY, version, Entry(b"ahead", time.time() + 3600, 0.0), 300)
        served = await world.read()
        assert (served.body, served.source, served.age_seconds, world.loads) == (b"ahead", "l2", 0.0, 0)

    play(scenario)
