"""What the snapshots of PostgreSQL make possible: bases, the WAL that belongs to each, and the times in reach. Pure.

An epoch is a base and all WAL from its start until the end of the next base. Its newest WAL snapshot has all of it, and
says when the base ended: nothing is stored under an epoch's name before its base is whole.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

from ops.backup.errors import RequestError
from ops.backup.restic import Snapshot
from ops.backup.settings import Retention

# On a base: the major version of the server that it is of, whose programs alone can replay its WAL. Before this was
# noted there was but one.
MAJOR = "postgres"
_FIRST_MAJOR = "15"
BASE, WAL, REDIS, ALERTMANAGER, STATE = "base", "wal", "redis", "alertmanager", "state"
# A restore of PostgreSQL empties the cache, and the next copy is of that: the one from before must still be there, as
# must what somebody has stored by hand before a change.
_ALL_KEPT = datetime.timedelta(days=1)
# The WAL snapshot before the newest one is kept too: the newest may have been written while something broke.
_WAL_SNAPSHOTS_KEPT = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reach:
    """Times that can be restored: from the end of a base to the last moment of its WAL."""

    base: Snapshot
    wal: Snapshot
    first: datetime.datetime
    last: datetime.datetime

    @property
    def epoch(self) -> str:
        """What names the base and its WAL."""
        return self.base.about["epoch"]

    @property
    def major(self) -> str:
        """The major version of PostgreSQL that can restore it."""
        return self.base.about.get(MAJOR, _FIRST_MAJOR)

    @property
    def base_bytes(self) -> int:
        """The base's size before it was deduplicated."""
        return int(self.wal.about["base_bytes"])


def moment(text: str) -> datetime.datetime:
    """A time as the tags and the command line write it; UTC where it names no zone. Raises RequestError."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(f"{text!r} is no time; write 2026-11-25T16:00:00, in UTC, or with +01:00.") from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def tagged(time: datetime.datetime) -> str:
    """The way in which `moment` reads it, down to the microsecond."""
    return time.astimezone(datetime.UTC).isoformat(timespec="microseconds")


def reaches(snapshots: Sequence[Snapshot]) -> list[Reach]:
    """One for each base that is complete and has WAL, in the order in which they were made.

    By their times that may be another one: after a clock was set back, what was made later can be of earlier.
    """
    newest = _newest_wal(snapshots)
    found = []
    for base in whole_bases(snapshots):
        wal = newest[base.about["epoch"]]
        first, last = moment(wal.about["base_stop"]), moment(wal.about["until"])
        if first <= last:
            found.append(Reach(base=base, wal=wal, first=first, last=last))
    return sorted(found, key=lambda reach: reach.base.order)


def whole_bases(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Those that were not given up half-way."""
    epochs = _newest_wal(snapshots)
    return [snapshot for snapshot in snapshots if snapshot.kind == BASE and snapshot.about["epoch"] in epochs]


def _newest_wal(snapshots: Sequence[Snapshot]) -> dict[str, Snapshot]:
    return {s.about["epoch"]: s for s in sorted(snapshots, key=lambda s: s.order) if s.kind == WAL}


def choose(found: Sequence[Reach], at: datetime.datetime | None) -> tuple[Reach, datetime.datetime]:
    """The base to start from for a time, None for the newest, and that time. Of a time that came twice, the second.

    Raises RequestError with what is in reach.
    """
    if not found:
        raise RequestError("There is no complete backup of PostgreSQL yet; make one with `backup now`.")
    if at is None:
        return found[-1], found[-1].last
    fitting = [reach for reach in found if reach.first <= at <= reach.last]
    if not fitting:
        listed = "; ".join(f"{tagged(reach.first)} to {tagged(reach.last)}" for reach in merged(found))
        raise RequestError(f"{tagged(at)} is out of reach; there is {listed}.")
    return fitting[-1], at


def of_version(found: Sequence[Reach], major: str, at: datetime.datetime | None = None) -> list[Reach]:
    """Those that the programs of PostgreSQL `major` can restore.

    Raises RequestError where `at` is in the reach of another version's alone, or everything is.
    """
    ours = [reach for reach in found if reach.major == major]
    fitting = [reach for reach in found if at is None or reach.first <= at <= reach.last]
    if fitting and not any(reach.major == major for reach in fitting):
        theirs = " and ".join(sorted({reach.major for reach in fitting}))
        raise RequestError(
            f"What would be restored is of PostgreSQL {theirs}, and {major} runs here, which cannot read it: go back "
            f"to {theirs} first (docs/runbooks/upgrade-postgres.md)."
        )
    return ours


@dataclasses.dataclass
class Range:
    """Times without a gap between them."""

    first: datetime.datetime
    last: datetime.datetime


def merged(found: Sequence[Reach]) -> list[Range]:
    """The reaches as ranges, those that overlap as one."""
    ranges: list[Range] = []
    for reach in sorted(found, key=lambda reach: reach.first):
        if ranges and reach.first <= ranges[-1].last:
            ranges[-1].last = max(ranges[-1].last, reach.last)
        else:
            ranges.append(Range(reach.first, reach.last))
    return ranges


def superfluous(snapshots: Sequence[Snapshot], retention: Retention) -> list[Snapshot]:
    """What may be forgotten. Never the newest of a kind, never the WAL of a base that stays."""
    gone: list[Snapshot] = []
    for kind in (BASE, REDIS, ALERTMANAGER, STATE):
        ours = whole_bases(snapshots) if kind == BASE else [s for s in snapshots if s.kind == kind]
        kept = {s.id for s in _kept(ours, retention)}
        if ours:
            newest = max(ours, key=lambda s: s.order).time
            # Any second of the last days can be chosen, so every base of these days stays.
            span = datetime.timedelta(days=retention.daily) if kind == BASE else _ALL_KEPT
            kept |= {s.id for s in ours if abs(newest - s.time) < span}
        gone += [s for s in ours if s.id not in kept]
    epochs = {s.about["epoch"] for s in snapshots if s.kind == BASE} - {
        s.about["epoch"] for s in gone if s.kind == BASE
    }
    newest_first = sorted((s for s in snapshots if s.kind == WAL), key=lambda s: s.order, reverse=True)
    count: dict[str, int] = {}
    for snapshot in newest_first:
        epoch = snapshot.about["epoch"]
        count[epoch] = count.get(epoch, 0) + 1
        if count[epoch] > _WAL_SNAPSHOTS_KEPT or (epoch not in epochs and snapshot is not newest_first[0]):
            gone.append(snapshot)
    return gone


def _kept(snapshots: Sequence[Snapshot], retention: Retention) -> list[Snapshot]:
    newest_first = sorted(snapshots, key=lambda s: s.order, reverse=True)
    kept = newest_first[:1]
    for pattern, count in (("%Y-%m-%d", retention.daily), ("%G-%V", retention.weekly), ("%Y-%m", retention.monthly)):
        seen: dict[str, Snapshot] = {}
        for snapshot in newest_first:
            seen.setdefault(snapshot.time.strftime(pattern), snapshot)
        kept += list(seen.values())[:count]
    return kept
