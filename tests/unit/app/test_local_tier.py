"""L1 against a naive model: nothing expired, dropped or overtaken is served, and the bytes stay within the bound."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.cache import local
from app.cache.entry import Entry, Key
from app.cache.local import OVERHEAD_BYTES, LocalTier

MAX_BYTES = 8 * OVERHEAD_BYTES
TTL_SECONDS = 10
KEYS = st.builds(Key, group=st.sampled_from("abc"), item=st.sampled_from("xyz"))


class Machine(RuleBasedStateMachine):
    """The model knows of every write when it happened; the tier may forget, but never be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.tier = LocalTier(max_bytes=MAX_BYTES, ttl_seconds=TTL_SECONDS, clock=lambda: self.now)
        self.truth = dict.fromkeys("abc", 0)
        self.reads: list[tuple[Key, int, int]] = []
        self.put_at: dict[Key, float] = {}

    @rule(key=KEYS)
    def begin_read(self, key: Key) -> None:
        self.reads.append((key, self.tier.generation(key.group), self.truth[key.group]))

    @rule(size=st.integers(0, 3 * OVERHEAD_BYTES), which=st.integers(0, 100))
    def end_read(self, size: int, which: int) -> None:
        if self.reads:
            key, generation, seen = self.reads.pop(which % len(self.reads))
            self.tier.put(key, Entry(str(seen).encode().ljust(size), 0.0, 0.0), generation)
            self.put_at[key] = self.now

    @rule(group=st.sampled_from("abc"))
    def write(self, group: str) -> None:
        self.truth[group] += 1
        self.tier.drop(group)

    @rule()
    def lose_messages(self) -> None:
        self.truth = {group: number + 1 for group, number in self.truth.items()}
        self.tier.clear()

    @rule(seconds=st.integers(1, TTL_SECONDS))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=KEYS)
    def look(self, key: Key) -> None:
        found = self.tier.get(key)
        if found is not None:
            assert found.body is not None
            assert int(found.body) == self.truth[key.group]
            assert self.now < self.put_at[key] + TTL_SECONDS

    @invariant()
    def bounded(self) -> None:
        assert 0 <= self.tier.bytes_used <= MAX_BYTES
        assert (self.tier.bytes_used == 0) == (len(self.tier) == 0)


Machine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
test_it_is_never_wrong = Machine.TestCase


def entry(size_bytes: int = 0) -> Entry:
    return Entry(b"x" * size_bytes, 0.0, 0.0)


def test_it_serves_what_was_put_and_forgets_the_least_recently_used() -> None:
    tier = LocalTier(max_bytes=3 * OVERHEAD_BYTES, ttl_seconds=1, clock=lambda: 0.0)
    keys = [Key("g", str(number)) for number in range(4)]
    for key in keys[:3]:
        tier.put(key, entry(), tier.generation("g"))
    assert tier.get(keys[0]) == entry()
    tier.put(keys[3], entry(), tier.generation("g"))
    assert [tier.get(key) is not None for key in keys] == [True, False, True, True]


def test_what_is_larger_than_the_bound_is_not_kept() -> None:
    tier = LocalTier(max_bytes=OVERHEAD_BYTES, ttl_seconds=1, clock=lambda: 0.0)
    tier.put(Key("g", "x"), entry(1), tier.generation("g"))
    assert len(tier) == 0


def test_a_forgotten_generation_refuses_rather_than_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MAX_GENERATIONS", 2)
    tier = LocalTier(max_bytes=MAX_BYTES, ttl_seconds=1, clock=lambda: 0.0)
    before = tier.generation("old")
    for group in ("old", "b", "c", "d"):
        tier.drop(group)
    tier.put(Key("old", "x"), entry(), before)
    assert tier.get(Key("old", "x")) is None
    tier.put(Key("old", "x"), entry(), tier.generation("old"))
    assert tier.get(Key("old", "x")) == entry()


def test_without_a_ttl_it_keeps_nothing() -> None:
    tier = LocalTier(max_bytes=MAX_BYTES, ttl_seconds=0)
    tier.put(Key("g", "x"), entry(), tier.generation("g"))
    assert len(tier) == 0


def test_entries_last_longer_while_writes_are_heard_of() -> None:
    now, listening = [0.0], [True]
    tier = LocalTier(
        max_bytes=MAX_BYTES,
        ttl_seconds=1,
        listening_ttl_seconds=5,
        is_listening=lambda: listening[0],
        clock=lambda: now[0],
    )
    heard, unheard = Key("heard", "x"), Key("unheard", "x")
    tier.put(heard, Entry(b"1", 0.0, 0.0), tier.generation("heard"))
    listening[0] = False
    tier.put(unheard, Entry(b"2", 0.0, 0.0), tier.generation("unheard"))
    now[0] = 0.9
    assert (tier.get(heard) is None, tier.get(unheard) is None) == (False, False)
    now[0] = 4.9
    assert (tier.get(heard) is None, tier.get(unheard) is None) == (False, True)
    absent = Key("absent", "x")
    listening[0] = True
    tier.put(absent, Entry(None, 0.0, 0.0), tier.generation("absent"))
    now[0] += 1
    assert tier.get(absent) is None, "nobody is told when it begins to be"
    tier.drop("heard")
    assert tier.get(heard) is None, "what is heard counts at once"


def test_a_ttl_of_0_is_no_l1_also_while_listening() -> None:
    tier = LocalTier(max_bytes=MAX_BYTES, ttl_seconds=0, listening_ttl_seconds=5, is_listening=lambda: True)
    tier.put(Key("a", "x"), Entry(b"1", 0.0, 0.0), tier.generation("a"))
    assert tier.get(Key("a", "x")) is None
