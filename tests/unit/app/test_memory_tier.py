"""The stand-in for Redis against a naive model, and its bounds: bytes, time, leases."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.cache import memory_tier
from app.cache.entry import Entry, Key
from app.cache.local import OVERHEAD_BYTES
from app.cache.memory_tier import MemoryTier
from app.events import Event, TierLookedUp

T = TypeVar("T")

MAX_BYTES = 8 * OVERHEAD_BYTES
TTL_SECONDS = 10
KEYS = st.builds(Key, group=st.sampled_from("abc"), item=st.sampled_from("xyz"))
KEY = Key("g", "x")


def run(step: Coroutine[Any, Any, T]) -> T:
    """No method of the tier waits for anything, so each ends at its first step."""
    try:
        step.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("the tier waits for something")


class Machine(RuleBasedStateMachine):
    """The model knows every write when it happened; the tier may forget, but never be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.tier = MemoryTier(lambda _: None, max_bytes=MAX_BYTES, clock=lambda: self.now)
        self.truth = dict.fromkeys("abc", 0)
        self.reads: list[tuple[Key, bytes, int]] = []
        self.stored_at: dict[Key, float] = {}

    @rule(key=KEYS)
    def begin_read(self, key: Key) -> None:
        found = run(self.tier.lookup(key))
        assert found.version is not None
        if found.entry is not None:
            assert found.entry.body is not None
            assert int(found.entry.body) == self.truth[key.group]
            assert self.now < self.stored_at[key] + TTL_SECONDS
        self.reads.append((key, found.version, self.truth[key.group]))

    @rule(size=st.integers(0, 3 * OVERHEAD_BYTES), which=st.integers(0, 100))
    def end_read(self, size: int, which: int) -> None:
        if self.reads:
            key, version, seen = self.reads.pop(which % len(self.reads))
            body = str(seen).encode().ljust(size)
            if run(self.tier.store(key, version, Entry(body, 0.0, 0.0), TTL_SECONDS)):
                self.stored_at[key] = self.now
                assert seen == self.truth[key.group], "a load that a write has overtaken is refused"

    @rule(group=st.sampled_from("abc"))
    def write(self, group: str) -> None:
        self.truth[group] += 1
        run(self.tier.invalidate(group))

    @rule(seconds=st.integers(1, TTL_SECONDS))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def bounded(self) -> None:
        assert 0 <= self.tier.bytes_used <= MAX_BYTES


Machine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
test_it_is_never_wrong = Machine.TestCase


class Rig:
    """A tier with room for `entries` small entries, on a clock that the test sets."""

    def __init__(self, entries: int = 8) -> None:
        self.now = 100.0
        self.events: list[Event] = []
        self.tier = MemoryTier(self.events.append, max_bytes=entries * OVERHEAD_BYTES, clock=lambda: self.now)

    def version(self, key: Key = KEY) -> bytes:
        version = run(self.tier.lookup(key)).version
        assert version is not None
        return version

    def store(self, key: Key = KEY, size_bytes: int = 0, ttl_seconds: float = TTL_SECONDS) -> bool:
        return run(self.tier.store(key, self.version(key), entry(size_bytes), ttl_seconds))

    def has(self, key: Key = KEY) -> bool:
        return run(self.tier.lookup(key)).entry is not None

    def lease(self, key: Key = KEY, seconds: float = 5.0) -> bytes | None:
        return run(self.tier.lease(key, self.version(key), seconds))

    def release(self, token: bytes, key: Key = KEY) -> None:
        run(self.tier.release(key, self.version(key), token))


def entry(size_bytes: int = 0) -> Entry:
    return Entry(b"x" * size_bytes, 0.0, 0.0)


def test_the_least_recently_used_entry_goes_first() -> None:
    rig = Rig(entries=3)
    keys = [Key("g", str(number)) for number in range(4)]
    for key in keys[:3]:
        assert rig.store(key)
    assert rig.has(keys[0])
    assert rig.store(keys[3])
    assert [rig.has(key) for key in keys] == [True, False, True, True]


def test_a_large_entry_makes_room_for_itself_and_for_no_more() -> None:
    rig = Rig(entries=3)
    keys = [Key("g", str(number)) for number in range(3)]
    for key in keys:
        rig.store(key)
    assert rig.store(Key("g", "large"), OVERHEAD_BYTES)
    assert [rig.has(key) for key in keys] == [False, False, True]
    assert rig.tier.bytes_used == 3 * OVERHEAD_BYTES


def test_what_is_larger_than_the_bound_is_refused_and_costs_nobody_a_place() -> None:
    rig = Rig(entries=1)
    assert rig.store()
    assert not rig.store(Key("g", "huge"), 1)
    assert rig.has()
    assert rig.store(Key("g", "other")), "what fits exactly is kept"


def test_an_entry_that_is_stored_again_counts_once() -> None:
    rig = Rig()
    for size_bytes in (0, 50, 10):
        assert rig.store(size_bytes=size_bytes)
    assert rig.tier.bytes_used == OVERHEAD_BYTES + 10


def test_an_entry_expires_to_the_second_and_gives_its_bytes_back() -> None:
    rig = Rig()
    rig.store(ttl_seconds=10)
    rig.now += 9.999
    assert rig.has()
    rig.now += 0.001
    assert not rig.has()
    assert rig.tier.bytes_used == 0


def test_an_invalidated_entry_gives_its_bytes_back_when_it_is_looked_for() -> None:
    rig = Rig()
    rig.store()
    run(rig.tier.invalidate(KEY.group))
    assert not rig.has()
    assert rig.tier.bytes_used == 0


def test_groups_that_were_forgotten_refuse_what_began_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_tier, "MAX_VERSIONS", 2)
    rig = Rig()
    before = rig.version()
    rig.store()
    for group in "abc":
        run(rig.tier.invalidate(group))
    assert not run(rig.tier.store(KEY, before, entry(), TTL_SECONDS))
    assert not rig.has(), "its version is a new one"
    assert not run(rig.tier.store(KEY, before, entry(), TTL_SECONDS))
    assert rig.store()
    assert rig.has()


def test_every_lookup_is_reported_as_the_hit_or_miss_that_it_was() -> None:
    rig = Rig()
    rig.has()
    rig.store()
    rig.has()
    rig.now += TTL_SECONDS
    rig.has()
    hits = [event.hit for event in rig.events if isinstance(event, TierLookedUp)]
    assert hits == [False, False, True, False]


def test_a_lease_is_had_by_one_until_it_is_given_back() -> None:
    rig = Rig()
    token = rig.lease()
    assert token is not None
    assert rig.lease() is None
    assert rig.lease(Key("g", "other")) is not None, "other entries have leases of their own"
    rig.release(token)
    assert rig.lease() is not None


def test_a_write_ends_the_wait_for_those_who_loaded_before_it() -> None:
    rig = Rig()
    assert rig.lease() is not None
    run(rig.tier.invalidate(KEY.group))
    assert rig.lease() is not None


def test_a_lease_ends_by_itself() -> None:
    rig = Rig()
    rig.lease(seconds=5)
    rig.now += 4.999
    assert rig.lease() is None
    rig.now += 0.001
    assert rig.lease() is not None


def test_who_was_too_slow_cannot_give_back_the_lease_of_the_next() -> None:
    rig = Rig()
    slow = rig.lease(seconds=5)
    assert slow is not None
    rig.now += 5
    assert rig.lease() is not None
    rig.release(slow)
    assert rig.lease() is None
    rig.release(b"made up")
    assert rig.lease() is None


def test_leases_that_have_ended_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_tier, "MAX_VERSIONS", 3)
    rig = Rig()
    version = rig.version()
    for number in range(50):
        key = Key("g", str(number))
        assert run(rig.tier.lease(key, version, 5)) is not None
        assert run(rig.tier.lease(key, version, 5)) is None, "one that has not ended stays"
        rig.now += 2
    assert len(rig.tier._leases) <= 4


def test_many_at_once_get_one_lease() -> None:
    rig = Rig()
    version = rig.version()

    async def all_at_once() -> list[bytes | None]:
        return await asyncio.gather(*(rig.tier.lease(KEY, version, 5) for _ in range(100)))

    assert sum(token is not None for token in asyncio.run(all_at_once())) == 1
