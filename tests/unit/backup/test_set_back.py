"""A clock that was set back, or was ahead for a while: nothing that was stored later counts for older."""

from __future__ import annotations

import dataclasses
import datetime
import types
from pathlib import Path
from typing import Any, cast

import pytest

from ops.backup import catalog, postgres, state, wal
from ops.backup.restic import Restic, Snapshot
from tests.unit.backup.test_catalog import base, gone, hours
from tests.unit.backup.test_catalog import wal as wal_snapshot
from tests.unit.backup.test_parts import settings_of


def numbered(*found: Snapshot) -> list[Snapshot]:
    """In the order in which they were made."""
    return [dataclasses.replace(s, about={**s.about, "number": str(n)}) for n, s in enumerate(found, start=1)]


AHEAD = 4 * 365 * 24.0


def test_the_newest_wal_is_what_was_stored_last() -> None:
    found = numbered(base("a", 0), *(wal_snapshot("a", until, stop=1) for until in (6, 5, 4)))
    (reach,) = catalog.reaches(found)
    assert reach.last == hours(4)
    assert gone(found) == {"wa6"}


def test_the_newest_base_is_what_was_made_last() -> None:
    found = catalog.reaches(
        numbered(base("a", AHEAD), wal_snapshot("a", AHEAD + 1, stop=AHEAD), base("b", 2), wal_snapshot("b", 3, stop=2))
    )
    reach, moment = catalog.choose(found, None)
    assert (reach.epoch, moment) == ("b", hours(3))
    assert catalog.choose(found, hours(AHEAD + 0.5))[0].epoch == "a"
    assert [each.first for each in catalog.merged(found)] == [hours(2), hours(AHEAD)]


def test_of_a_time_that_came_twice_it_is_the_second() -> None:
    found = numbered(base("a", 0), wal_snapshot("a", 12, stop=1), base("b", 11), wal_snapshot("b", 11.5, stop=11))
    assert catalog.choose(catalog.reaches(found), hours(11.2))[0].epoch == "b"
    assert catalog.choose(catalog.reaches(found), hours(11.8))[0].epoch == "a"


def days(*numbers: int) -> list[Snapshot]:
    """A base and its WAL of each."""
    return [made for day in numbers for made in (base(f"x{day}x", day * 24), wal_snapshot(f"x{day}x", day * 24 + 1))]


def test_a_base_of_the_future_keeps_no_base_of_now_from_staying_and_grows_old_like_any_other() -> None:
    ahead = (base("fx", AHEAD), wal_snapshot("fx", AHEAD + 1))
    assert gone(numbered(*ahead, *days(*range(6)))) == set()
    assert "bfx" in gone(numbered(*ahead, *days(*range(200))))


def test_numbers_go_up_and_follow_the_repository(tmp_path: Path) -> None:
    assert [state.next_number(tmp_path) for _ in range(3)] == [1, 2, 3]
    state.count_on(tmp_path, 41)
    state.count_on(tmp_path, 7)
    assert state.next_number(tmp_path) == 42


def test_what_is_recorded_of_the_future_is_taken_back_and_a_failure_stays_one(tmp_path: Path) -> None:
    now = 1000.0
    ahead = {"last_success_timestamp_seconds": now + 60, "last_failure_timestamp_seconds": now + 90}
    state.record(tmp_path, "redis", duration_seconds=5000.0, **ahead)
    state.record(tmp_path, "postgres", last_success_timestamp_seconds=now - 5)
    state.take_back_the_future(tmp_path, now)
    assert state.read(tmp_path) == {
        "redis": {
            "duration_seconds": 5000.0,
            "last_success_timestamp_seconds": now - 30,
            "last_failure_timestamp_seconds": now,
        },
        "postgres": {"last_success_timestamp_seconds": now - 5},
    }


@pytest.mark.parametrize(("minutes", "set_back"), [(1, False), (-0.1, False), (-60, True)])
def test_wal_never_says_that_it_has_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, set_back: bool
) -> None:
    settings = settings_of("staging", tmp_path)
    settings.wal.mkdir(parents=True)
    wal.begin_epoch(settings, "a", "0" * 24, {"base_stop": catalog.tagged(hours(1))})
    times = iter([hours(2), hours(2) + datetime.timedelta(minutes=minutes)])
    monkeypatch.setattr(postgres, "flushed", lambda _: ("0/1", catalog.tagged(next(times))))
    monkeypatch.setattr(postgres, "received", lambda _: "0/1")
    stored: list[dict[str, Any]] = []
    restic = cast(Restic, types.SimpleNamespace(store_folder=lambda _, about: stored.append(about)))
    first, second = wal.push(settings, restic), wal.push(settings, restic)
    assert first == wal.Pushed(until=catalog.tagged(hours(2)), set_back=False)
    latest = max(hours(2), hours(2) + datetime.timedelta(minutes=minutes))
    assert second == wal.Pushed(until=catalog.tagged(latest), set_back=set_back)
    assert stored[-1]["until"] == catalog.tagged(latest)
    assert stored[-1]["base_stop"] == catalog.tagged(hours(1))


def test_where_times_begin_to_come_twice_is_known_from_the_last_push_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of("staging", tmp_path)
    settings.wal.mkdir(parents=True)
    wal.begin_epoch(settings, "a", "0" * 24, {"base_stop": catalog.tagged(hours(1))})
    pushes = iter(
        [("0/10", hours(2)), ("0/20", hours(3)), ("0/30", hours(2)), ("0/40", hours(3.5)), ("0/50", hours(1))]
    )

    def flushed(_: object) -> tuple[str, str]:
        place, time = next(pushes)
        return place, catalog.tagged(time)

    monkeypatch.setattr(postgres, "flushed", flushed)
    monkeypatch.setattr(postgres, "received", lambda _: "0/50")
    stored: list[dict[str, Any]] = []
    restic = cast(Restic, types.SimpleNamespace(store_folder=lambda _, about: stored.append(about)))
    for _ in range(5):
        wal.push(settings, restic)
    assert [about.get(wal.TWICE_FROM) for about in stored] == [None, None, "0/20", "0/20", "0/20"]


def test_wal_is_cut_at_a_place_on_every_timeline(tmp_path: Path) -> None:
    size = 64  # the rest of a segment is as it is
    names = ("0000000100000000000000FF", "000000010000000100000000", "000000020000000100000000.partial")
    later = ("000000020000000100000001", "000000020000000200000000.partial")
    for name in (*names, *later):
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "00000002.history").write_text("1")
    wal.cut(tmp_path, "1/00000010")
    assert {path.name for path in tmp_path.iterdir()} == {*names, "00000002.history"}
    whole, *cut = (tmp_path / name for name in names)
    assert whole.read_bytes() == b"x" * size
    assert [path.read_bytes() for path in cut] == [b"x" * 16 + bytes(size - 16)] * 2
