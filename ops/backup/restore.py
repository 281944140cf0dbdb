"""The service's part of a restore: everything that can be done before anything of the stack is touched."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ops.backup import catalog, log, postgres, recovery, redis, state, wal
from ops.backup.catalog import Reach
from ops.backup.errors import BackupError, RequestError, SpaceError, ToolError
from ops.backup.jobs import SILENCES_FILE, Jobs
from ops.backup.restic import INSTANCE, Snapshot, one

FOLDER = "restore"
_SPARE_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to come back: the newest, a moment, or a snapshot. Another stack's only where that is meant."""

    at: str | None = None
    snapshot: str | None = None
    of_other_stack: bool = False


def plan(jobs: Jobs, wanted: Wanted) -> dict[str, Any]:
    """What a restore of PostgreSQL would start from, where it would end, and what is in reach."""
    reach, moment = _chosen(jobs, wanted)
    return {
        "at": catalog.tagged(moment),
        "base": reach.base.short_id,
        "base_bytes": reach.base_bytes,
        "needed_bytes": recovery.needed_bytes(jobs.restic, reach),
        "free_bytes": shutil.disk_usage(jobs.settings.data).free,
        "lost_seconds": round(max(0.0, (datetime.datetime.now(datetime.UTC) - moment).total_seconds()), 3),
    }


def prepare_postgres(jobs: Jobs, wanted: Wanted) -> dict[str, Any]:
    """Restores to the scratch folder; gives the rows of each table there and, where it can be asked, in the stack.

    `schema` and `schema_now` are the newest migration of each, None where that is not known.
    """
    folder = jobs.settings.scratch / FOLDER
    # Chosen while nobody tidies: what is found before may be gone when the turn comes.
    with jobs.turn():
        reach, moment = _chosen(jobs, wanted)
        with jobs.job("restore"), recovery.recovered(jobs.settings, jobs.restic, reach, moment, folder) as there:
            tables, schema = there.tables(), postgres.schema_of(there.psql)
        state.record(jobs.settings.data, "restore", prepared_at=catalog.tagged(moment))
    now, schema_now = {}, None
    try:
        now, schema_now = postgres.content(jobs.settings)["tables"], postgres.schema(jobs.settings)
    except BackupError as error:
        log.line("WARNING", "the stack's own PostgreSQL cannot be asked", error=str(error))
    return {
        "at": catalog.tagged(moment),
        "rows": {table: content["rows"] for table, content in tables.items()},
        "rows_now": {table: content["rows"] for table, content in now.items()},
        "schema": schema,
        "schema_now": schema_now,
        "bytes": _size_bytes(folder / "files"),
    }


def prepare_redis(jobs: Jobs, wanted: Wanted) -> dict[str, Any]:
    """Unpacks the newest copy of Redis, the one before a time, or a snapshot."""
    folder = jobs.settings.scratch / f"{FOLDER}-redis"
    with jobs.turn():
        chosen = _chosen_copy(jobs, wanted, catalog.REDIS, "Redis")
        needed, free = jobs.restic.size_bytes(chosen.id) + _SPARE_BYTES, shutil.disk_usage(jobs.settings.data).free
        if free < needed:
            raise SpaceError(
                f"A restore needs {needed >> 20} MiB in the backup volume, {free >> 20} are free; make room."
            )
        with jobs.job("restore"):
            keys = redis.read_back(redis.unpack(jobs.restic, chosen, folder))
    return {
        "at": catalog.tagged(chosen.time),
        "keys": keys,
        "snapshot": chosen.short_id,
        "bytes": _size_bytes(folder / "files"),
    }


def prepare_silences(jobs: Jobs, wanted: Wanted) -> dict[str, Any]:
    """The silences of the newest copy, the one before a time, or a snapshot, as Alertmanager gave them."""
    imported = state.read(jobs.settings.data).get("import", {}).get("silences")
    if imported and not wanted.at and not wanted.snapshot:
        wanted = dataclasses.replace(wanted, snapshot=imported)
    chosen = _chosen_copy(jobs, wanted, catalog.ALERTMANAGER, "silences")
    return {
        "at": catalog.tagged(chosen.time),
        "snapshot": chosen.short_id,
        "silences": json.loads(jobs.restic.dump(chosen.id, SILENCES_FILE)),
    }


def send(jobs: Jobs, what: str) -> None:
    """Writes what was prepared to stdout, as a tar."""
    folder = jobs.settings.scratch / (FOLDER if what == "postgres" else f"{FOLDER}-{what}") / "files"
    if not folder.exists():
        raise RequestError(f"Nothing of {what} is prepared; run the restore from its beginning.")
    done = subprocess.run(["tar", "--create", f"--directory={folder}", "."], stdout=sys.stdout.buffer, check=False)
    if done.returncode:
        raise ToolError("tar", f"exit code {done.returncode}")


def discard(jobs: Jobs, what: str) -> dict[str, Any]:
    """Takes away what was prepared."""
    shutil.rmtree(jobs.settings.scratch / (FOLDER if what == "postgres" else f"{FOLDER}-{what}"), ignore_errors=True)
    return {}


def finish(jobs: Jobs, what: str) -> dict[str, Any]:
    """After the stack has what was restored: takes the scratch folder away, and sees that there is a new base."""
    discard(jobs, what)
    if what == "alertmanager":
        state.record(jobs.settings.data, "import", silences="")
    if what == "postgres":
        state.record(jobs.settings.data, "import", until="")
    if what != "postgres":
        return {}
    return jobs.backup("postgres", only_if=lambda: wal.epoch(jobs.settings) is None)  # the service may be faster


def begin_anew(jobs: Jobs) -> dict[str, Any]:
    """Ends the epoch, while PostgreSQL is down: what WAL comes next belongs to a base that is still to be made."""
    with state.alone(jobs.settings.data, state.WAL, wait_seconds=60.0):
        wal.start_over(jobs.settings)
    return {}


def contents(jobs: Jobs) -> dict[str, Any]:
    """How many rows each table of the stack has just now."""
    tables = postgres.content(jobs.settings)["tables"]
    return {"rows": {table: content["rows"] for table, content in tables.items()}}


def _chosen(jobs: Jobs, wanted: Wanted) -> tuple[Reach, datetime.datetime]:
    reach, moment = _found(jobs, wanted.at, wanted.snapshot)
    _refuse_other_stack(jobs, reach.base, wanted)
    return reach, moment


def _chosen_copy(jobs: Jobs, wanted: Wanted, kind: str, called: str) -> Snapshot:
    copies = jobs.restic.snapshots(kind)
    if wanted.snapshot:
        copies = [one(copies, wanted.snapshot)]
    elif wanted.at:
        moment = catalog.moment(wanted.at)
        times = [copy.time for copy in copies]
        if copies and moment < min(times):
            raise RequestError(
                f"There is no copy of {called} of {catalog.tagged(moment)}; there are some from "
                f"{catalog.tagged(min(times))} to {catalog.tagged(max(times))}."
            )
        copies = [copy for copy in copies if copy.time <= moment]
    if not copies:
        raise RequestError(f"There is no backup of {called} yet; make one with `backup now`.")
    _refuse_other_stack(jobs, copies[-1], wanted)
    return copies[-1]


def _refuse_other_stack(jobs: Jobs, snapshot: Snapshot, wanted: Wanted) -> None:
    whose = snapshot.about.get(INSTANCE, jobs.settings.instance)
    if whose != jobs.settings.instance and not wanted.of_other_stack:
        raise RequestError(
            f"Snapshot {snapshot.short_id} is of {whose}, not of {jobs.settings.instance}; "
            "add --other-stack to restore it all the same."
        )


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _found(jobs: Jobs, at: str | None, snapshot: str | None) -> tuple[Reach, datetime.datetime]:
    at = at or (None if snapshot else state.read(jobs.settings.data).get("import", {}).get("until"))
    moment = catalog.moment(at) if at else None
    found = catalog.reaches(jobs.restic.snapshots())
    if snapshot is None:
        return catalog.choose(catalog.of_version(found, postgres.major(), moment), moment)
    base = one(jobs.restic.snapshots(catalog.BASE), snapshot)
    fitting = [reach for reach in found if reach.base.id == base.id]
    if not fitting:
        raise RequestError(f"The base {base.short_id} has no WAL, so that nothing can be restored from it.")
    fitting = catalog.of_version(fitting, postgres.major())
    # A base alone is what there was at its end.
    return catalog.choose(fitting, moment or fitting[0].first)
