"""The drill: restores what the repository holds into throw-away servers and compares it with what was recorded."""

from __future__ import annotations

import datetime
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ops.backup import catalog, log, postgres, process, recovery, redis, state
from ops.backup.catalog import Reach
from ops.backup.errors import DamageError, RequestError
from ops.backup.jobs import Jobs

# The newest row of the system of record: nothing in it may be younger than the moment that was restored. What is later
# than all WAL of the epoch was written when a clock was ahead.
_NEWEST = (
    "SELECT coalesce(to_char(max(created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"'), '')"
    " FROM {table} WHERE created_at <= '{last}'"
)
_WITH_A_TIME = (
    "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.columns"
    " WHERE column_name = 'created_at' AND table_schema = 'public' ORDER BY 1"
)


def drill(jobs: Jobs, chance: random.Random | None = None) -> dict[str, Any]:
    """The newest backup, an older mark and a random moment of PostgreSQL, and the newest copy of Redis.

    Gives what it measured; `rto_seconds` is the longest of the restores, `rpo_seconds` how old the newest restorable
    moment was when the drill began. Raises DamageError with everything that differs.
    """
    with jobs.job("drill"), jobs.turn():
        begun = time.time()
        found = _drill(jobs, chance or random.Random())  # noqa: S311 - no secret
        differences = found.pop("differences")
        state.record(jobs.settings.data, "drill", mismatches=len(differences), **found)
        if differences:
            raise DamageError("The drill found differences: " + "; ".join(differences))
        found["duration_seconds"] = round(time.time() - begun, 3)
        state.record(
            jobs.settings.data,
            "drill",
            last_success_timestamp_seconds=time.time(),
            error="",
            duration_seconds=found["duration_seconds"],
        )
        log.line("INFO", "drill done", **found)
        return found


def _drill(jobs: Jobs, chance: random.Random) -> dict[str, Any]:
    snapshots = jobs.restic.snapshots()
    found = catalog.of_version(catalog.reaches(snapshots), postgres.major())
    newest, last = catalog.choose(found, None)
    rpo = (datetime.datetime.now(datetime.UTC) - last).total_seconds()
    older = chance.choice(found)
    span = (older.last - older.first).total_seconds()
    at = older.first + datetime.timedelta(seconds=chance.uniform(0, span))
    folder = jobs.settings.scratch / "drill"
    differences: list[str] = []
    seconds = []
    try:
        for what, reach, moment in (("newest", newest, last), ("random", older, at)):
            begun = time.monotonic()
            differences += [f"{what}: {line}" for line in _postgres(jobs, reach, moment, folder)]
            seconds.append(round(time.monotonic() - begun, 3))
        differences += [f"mark: {line}" for line in _mark(jobs, older, folder, chance)]
        keys, lines = _redis(jobs, folder)
        differences += lines
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "differences": differences,
        "rto_seconds": max(seconds),
        "rpo_seconds": round(rpo, 3),
        "random_moment": catalog.tagged(at),
        "redis_keys": keys,
    }


def _postgres(jobs: Jobs, reach: Reach, at: datetime.datetime, folder: Path) -> list[str]:
    with recovery.recovered(jobs.settings, jobs.restic, reach, at, folder) as there:
        there.tables()  # reads every row, and with it every page's checksum
        dated = _ask(there.psql, _WITH_A_TIME)
        last = catalog.tagged(reach.last)
        newest = [line for table in dated for line in _ask(there.psql, _NEWEST.format(table=table, last=last)) if line]
    return younger(newest, at)


def younger(newest: Sequence[str], at: datetime.datetime) -> list[str]:
    """What is wrong with the newest rows of a restore to `at`, one for each table."""
    return [f"a row of {line} is younger than {catalog.tagged(at)}" for line in newest if catalog.moment(line) > at]


def _mark(jobs: Jobs, reach: Reach, folder: Path, chance: random.Random) -> list[str]:
    """Restores to a moment at which the contents were recorded."""
    marks = [mark for mark in recovery.marks(jobs.settings, jobs.restic, reach) if mark["exact"]]
    if not marks:
        log.line("WARNING", "no exact mark in this epoch", epoch=reach.epoch)
        return []
    mark = chance.choice(marks)
    with recovery.recovered(jobs.settings, jobs.restic, reach, str(mark["lsn"]), folder) as there:
        return postgres.compare(mark["tables"], there.tables())


def _redis(jobs: Jobs, folder: Path) -> tuple[int, list[str]]:
    copies = jobs.restic.snapshots(catalog.REDIS)
    if not copies:
        raise RequestError("There is no backup of Redis yet; make one with `backup now`.")
    file = redis.unpack(jobs.restic, copies[-1], folder)
    read = redis.read_back(file)
    recorded = int(copies[-1].about["keys"])
    with redis.loaded(folder) as keys:
        # Keys expire meanwhile, and others came while the copy was made: a hundredth is no difference.
        lines = [f"redis: {read} keys came back, {recorded} were recorded"] if read < recorded * 0.99 - 10 else []
        lines += [f"redis: a server loaded {keys} of {read} keys"] if keys > read else []
    return keys, lines


def _ask(psql: Sequence[str], sql: str) -> list[str]:
    return process.run([*psql, "--command", sql], {}).splitlines()
