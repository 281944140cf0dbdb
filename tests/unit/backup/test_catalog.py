"""Which base a moment is restored from, what is out of reach, and what may be forgotten."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

import pytest

from ops.backup import catalog
from ops.backup.errors import RequestError
from ops.backup.restic import Snapshot
from ops.backup.settings import Retention

START = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
KEEP = Retention(daily=7, weekly=4, monthly=3)


def hours(count: float) -> datetime.datetime:
    return START + datetime.timedelta(hours=count)


def base(epoch: str, time: float) -> Snapshot:
    return Snapshot(id=f"b{epoch}".ljust(64, "0"), time=hours(time), about={"kind": "base", "epoch": epoch})


def wal(epoch: str, until: float, *, stop: float = 0.0) -> Snapshot:
    """`stop` is when the base of the epoch was whole."""
    about = {"kind": "wal", "epoch": epoch, "until": catalog.tagged(hours(until)), "base_bytes": "1"}
    about["base_stop"] = catalog.tagged(hours(stop))
    return Snapshot(id=f"w{epoch}{until}".ljust(64, "0"), time=hours(until), about=about)


TWO = (base("a", 0), wal("a", 5, stop=1), wal("a", 11, stop=1), base("b", 10), wal("b", 12, stop=10.5))


@pytest.mark.parametrize(("at", "epoch"), [(1, "a"), (9, "a"), (10.4, "a"), (10.5, "b"), (12, "b")])
def test_a_moment_is_restored_from_the_last_base_before_it(at: float, epoch: str) -> None:
    reach, moment = catalog.choose(catalog.reaches(TWO), hours(at))
    assert (reach.epoch, moment) == (epoch, hours(at))


def test_the_newest_moment_is_where_the_wal_ends() -> None:
    reach, moment = catalog.choose(catalog.reaches(TWO), None)
    assert (reach.epoch, moment) == ("b", hours(12))


@pytest.mark.parametrize("at", [0.5, 12.1])
def test_what_is_out_of_reach_is_refused_with_the_range(at: float) -> None:
    with pytest.raises(RequestError, match=r"out of reach; there is 2026-11-01T01:00:00.*to 2026-11-01T12:00:00"):
        catalog.choose(catalog.reaches(TWO), hours(at))


def test_a_gap_is_named() -> None:
    gapped = (base("a", 0), wal("a", 5, stop=1), base("b", 10), wal("b", 12, stop=10.5))
    with pytest.raises(RequestError, match=r"05:00:00.*; 2026-11-01T10:30"):
        catalog.choose(catalog.reaches(gapped), hours(7))


def test_a_base_without_wal_is_no_backup() -> None:
    with pytest.raises(RequestError, match="no complete backup"):
        catalog.choose(catalog.reaches((base("a", 0), wal("gone", 5), base("b", 6))), None)


def of_major(found: Sequence[Snapshot], **majors: str) -> list[Snapshot]:
    """The same with the versions that bases are of, by their epochs."""
    return [
        dataclasses.replace(s, about={**s.about, catalog.MAJOR: majors[s.about["epoch"]]})
        if s.kind == "base" and s.about["epoch"] in majors
        else s
        for s in found
    ]


def test_only_what_this_version_can_read_is_restored() -> None:
    found = catalog.reaches(of_major(TWO, b="17"))
    assert [reach.epoch for reach in catalog.of_version(found, "17")] == ["b"]
    # Before it was noted there was one version.
    assert [reach.epoch for reach in catalog.of_version(found, "15")] == ["a"]
    assert [reach.epoch for reach in catalog.of_version(found, "17", hours(10.8))] == ["b"]


def test_a_moment_of_another_version_is_refused_with_that_version() -> None:
    found = catalog.reaches(of_major(TWO, b="17"))
    with pytest.raises(RequestError, match=r"is of PostgreSQL 15, and 17 runs here.*upgrade-postgres.md"):
        catalog.of_version(found, "17", hours(5))
    with pytest.raises(RequestError, match=r"is of PostgreSQL 15 and 17, and 16 runs here"):
        catalog.of_version(found, "16")


def test_a_moment_that_nobody_has_is_out_of_reach_as_before() -> None:
    found = catalog.of_version(catalog.reaches(of_major(TWO, b="17")), "17", hours(99))
    with pytest.raises(RequestError, match="out of reach"):
        catalog.choose(found, hours(99))


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(RequestError, match="is no time"):
        catalog.moment("yesterday")
    assert catalog.moment("2026-11-01T01:00:00+01:00") == START
    assert catalog.moment("2026-11-01T00:00:00") == START


def gone(snapshots: Sequence[Snapshot], keep: Retention = KEEP) -> set[str]:
    return {snapshot.id.rstrip("0") for snapshot in catalog.superfluous(snapshots, keep)}


def test_of_the_wal_of_an_epoch_the_newest_two_stay() -> None:
    found = (base("a", 0), *(wal("a", until) for until in (2, 3, 4, 5)))
    assert gone(found) == {"wa2", "wa3"}


def test_bases_of_the_last_days_stay_and_older_ones_thin_out_with_their_wal() -> None:
    daily = [base(f"x{day:02}x", day * 24) for day in range(40)]
    with_wal = [*daily, *(wal(f"x{day:02}x", day * 24 + 23) for day in range(40))]
    kept = {s.about["epoch"] for s in with_wal} - {
        s.about["epoch"] for s in catalog.superfluous(with_wal, KEEP) if s.kind == "base"
    }
    assert {f"x{day}x" for day in range(33, 40)} <= kept
    assert 8 <= len(kept) <= 7 + 4 + 3
    epochs_of_wal = {s.about["epoch"] for s in with_wal if s.kind == "wal"} - {
        s.about["epoch"] for s in catalog.superfluous(with_wal, KEEP) if s.kind == "wal"
    }
    assert epochs_of_wal == kept


def test_the_newest_of_a_kind_is_never_forgotten() -> None:
    old = Snapshot(id="r".ljust(64, "0"), time=START, about={"kind": "redis"})
    assert gone((old, base("a", 10000), wal("a", 10001)), Retention(daily=1, weekly=0, monthly=0)) == set()


def test_every_copy_of_the_last_day_stays() -> None:
    copies = [
        Snapshot(id=name.ljust(64, "0"), time=hours(at), about={"kind": "redis"})
        # By schedule the night before, by hand, and of the cache that a restore of PostgreSQL has emptied.
        for name, at in (("night", 2), ("hand", 34), ("emptied", 35), ("earlier", 1))
    ]
    assert gone(copies, Retention(daily=7, weekly=0, monthly=0)) == {"earlier"}
