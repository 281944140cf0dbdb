"""L3 on a real disk: restarts, other processes, damage, bounds."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.cache.durable import FILE_NAME, DurableTier, open_tier
from app.cache.entry import Entry, Key
from app.events import CacheFailed, Event

KEY = Key("chat", "page")


def entry(body: bytes = b"body", age_seconds: float = 0.0) -> Entry:
    return Entry(body, time.time() - age_seconds, 0.01)


def play(
    folder: Path, scenario: Callable[[DurableTier], Awaitable[None]], *, max_bytes: int = 1024 * 1024
) -> list[Event]:
    """Open the tier, run the scenario, close the tier; what it told."""
    events: list[Event] = []

    async def run() -> None:
        opened = open_tier(folder, events.append, ttl_seconds=3600, max_bytes=max_bytes, compress_above_bytes=1024)
        async with opened as tier:
            await scenario(tier)

    asyncio.run(run())
    return events


def test_it_survives_a_restart(tmp_path: Path) -> None:
    stored = entry(b"x" * 5000)

    async def put(tier: DurableTier) -> None:
        tier.put_soon(KEY, stored)
        assert await tier.get(KEY) == stored, "what is queued is there already"

    async def get(tier: DurableTier) -> None:
        assert await tier.get(KEY) == stored
        assert await tier.get(Key("chat", "other")) is None

    assert play(tmp_path, put) == play(tmp_path, get) == []
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_an_old_entry_is_not_served(tmp_path: Path) -> None:
    async def scenario(tier: DurableTier) -> None:
        tier.put_soon(KEY, entry(age_seconds=3601))
        tier.put_soon(Key("chat", "fresh"), entry(age_seconds=3500))
        await tier.flush()
        assert await tier.get(KEY) is None
        assert await tier.get(Key("chat", "fresh")) is not None

    play(tmp_path, scenario)


def test_a_drop_beats_what_was_loaded_before_it(tmp_path: Path) -> None:
    async def scenario(tier: DurableTier) -> None:
        early = entry(b"old")
        tier.put_soon(KEY, early)
        await tier.flush()
        await asyncio.sleep(0.001)
        tier.drop_soon("chat")
        assert await tier.get(KEY) is None
        tier.put_soon(KEY, early)
        await tier.flush()
        assert await tier.get(KEY) is None
        await asyncio.sleep(0.001)
        tier.put_soon(KEY, entry(b"new"))
        await tier.flush()
        found = await tier.get(KEY)
        assert found is not None
        assert found.body == b"new"

    play(tmp_path, scenario)


def test_the_writes_of_another_process_are_seen_and_not_overwritten(tmp_path: Path) -> None:
    async def scenario(one: DurableTier) -> None:
        opened = open_tier(tmp_path, lambda _: None, ttl_seconds=3600, max_bytes=10**6, compress_above_bytes=64)
        async with opened as other:
            older = entry(b"older", age_seconds=10)
            other.put_soon(KEY, entry(b"newer"))
            await other.flush()
            one.put_soon(KEY, older)
            await one.flush()
            found = await one.get(KEY)
            assert found is not None
            assert found.body == b"newer"
            await asyncio.gather(*(self_writes(tier) for tier in (one, other)))

    async def self_writes(tier: DurableTier) -> None:
        for number in range(50):
            tier.put_soon(Key("g", str(number)), entry())
            await tier.flush()

    assert play(tmp_path, scenario) == []


def test_the_oldest_go_when_there_is_no_room(tmp_path: Path) -> None:
    async def scenario(tier: DurableTier) -> None:
        for number in range(300):
            tier.put_soon(Key("g", str(number)), Entry(b"x" * 1000, time.time() - 300 + number, 0.0))
            if number % 50 == 49:
                await tier.flush()
        assert await tier.get(Key("g", "0")) is None
        assert await tier.get(Key("g", "299")) is not None

    play(tmp_path, scenario, max_bytes=100_000)
    with sqlite3.connect(tmp_path / FILE_NAME) as file:
        (counted,) = file.execute("SELECT bytes FROM total").fetchone()
        (real,) = file.execute("SELECT sum(size) FROM entries").fetchone()
    file.close()
    assert counted == real <= 100_000


def test_a_broken_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 1000)

    async def scenario(tier: DurableTier) -> None:
        tier.put_soon(KEY, entry())
        await tier.flush()
        assert await tier.get(KEY) is not None

    assert play(tmp_path, scenario) == []
    assert list(tmp_path.glob("*.broken"))


def test_a_folder_that_cannot_be_used_costs_the_last_resort_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def scenario(tier: DurableTier) -> None:
        tier.put_soon(KEY, entry())
        tier.drop_soon("chat")
        await tier.flush()
        assert await tier.get(KEY) is None

    events = play(tmp_path / "file" / "folder", scenario)
    assert [event.operation for event in events if isinstance(event, CacheFailed)] == ["open"]


def test_a_locked_file_costs_time_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cache.durable.BUSY_SECONDS", 0.05)

    async def scenario(tier: DurableTier) -> None:
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        tier.put_soon(KEY, entry())
        await tier.flush()
        other.execute("ROLLBACK")
        other.close()
        tier.put_soon(KEY, entry())
        await tier.flush()
        assert await tier.get(KEY) is not None

    events = play(tmp_path, scenario)
    assert [event.operation for event in events if isinstance(event, CacheFailed)] == ["write"]


def test_entries_that_the_disk_cannot_keep_up_with_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cache.durable.MAX_QUEUED_BYTES", 10_000)

    async def scenario(tier: DurableTier) -> None:
        for number in range(100):
            tier.put_soon(Key("g", str(number)), entry(b"x" * 1000))
        assert tier.queued <= 10
        assert await tier.get(Key("g", "99")) is not None, "the newest stay"

    play(tmp_path, scenario)
