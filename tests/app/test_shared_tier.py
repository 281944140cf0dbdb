"""What every shared tier promises, on a real Redis and on its stand-in alike."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from app.cache.entry import STORED, Entry, Key, Lookup, SharedTier
from app.cache.memory_tier import MemoryTier
from app.events import Event, TierLookedUp
from tests.app.tiers import (
    ENTRY,
    HOSTILE,
    KEY,
    MAX_ENTRY_BYTES,
    TTL_SECONDS,
    World,
    found,
    play,
    put,
    until,
    version_of,
)

pytestmark = pytest.mark.app


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
