"""The service's part of a restore: everything that can be done before anything of the stack is touched."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import sys
from typing import Any

from ops.backup import catalog, log, postgres, recovery, redis, state, wal
from ops.backup.catalog import Reach
from ops.backup.errors import BackupError, RequestError, ToolError
from ops.backup.jobs import Jobs
from ops.backup.restic import one

FOLDER = "restore"


def plan(jobs: Jobs, at: str | None, snapshot: str | None) -> dict[str, Any]:
    """What a restore of PostgreSQL would start from, where it would end, and what is in reach."""
    reach, moment = _chosen(jobs, at, snapshot)
    return {
        "at": catalog.tagged(moment),
        "base": reach.base.short_id,
        "base_bytes": int(reach.base.about.get("bytes", 0)),
        "needed_bytes": recovery.needed_bytes(jobs.restic, reach),
        "free_bytes": shutil.disk_usage(jobs.settings.data).free,
        "lost_seconds": round((datetime.datetime.now(datetime.UTC) - moment).total_seconds(), 3),
    }


def prepare_postgres(jobs: Jobs, at: str | None, snapshot: str | None) -> dict[str, Any]:
    """Restores to the scratch folder; gives the rows of each table there and, where it can be asked, in the stack."""
    reach, moment = _chosen(jobs, at, snapshot)
    folder = jobs.settings.scratch / FOLDER
    with jobs.job("restore"), jobs.turn():
        with recovery.recovered(jobs.settings, jobs.restic, reach, moment, folder) as there:
            tables = there.tables()
        state.record(jobs.settings.data, "restore", prepared_at=catalog.tagged(moment))
    try:
        now = postgres.content(jobs.settings)["tables"]
    except BackupError as error:
        log.line("WARNING", "the stack's own PostgreSQL cannot be asked", error=str(error))
        now = {}
    return {
        "at": catalog.tagged(moment),
        "rows": {table: content["rows"] for table, content in tables.items()},
        "rows_now": {table: content["rows"] for table, content in now.items()},
    }


def prepare_redis(jobs: Jobs, at: str | None, snapshot: str | None) -> dict[str, Any]:
    """Unpacks the newest copy of Redis, the one before a time, or a snapshot."""
    copies = jobs.restic.snapshots(catalog.REDIS)
    if snapshot:
        copies = [one(copies, snapshot)]
    elif at:
        copies = [copy for copy in copies if copy.time <= catalog.moment(at)]
    if not copies:
        raise RequestError("There is no copy of Redis of that time; `backup list` says what there is.")
    with jobs.job("restore"), jobs.turn():
        keys = redis.read_back(redis.unpack(jobs.restic, copies[-1], jobs.settings.scratch / f"{FOLDER}-redis"))
    return {"at": catalog.tagged(copies[-1].time), "keys": keys, "snapshot": copies[-1].short_id}


def send(jobs: Jobs, what: str) -> None:
    """Writes what was prepared to stdout, as a tar."""
    folder = jobs.settings.scratch / (FOLDER if what == "postgres" else f"{FOLDER}-{what}") / "files"
    if not folder.exists():
        raise RequestError(f"Nothing of {what} is prepared; run the restore from its beginning.")
    done = subprocess.run(["tar", "--create", f"--directory={folder}", "."], stdout=sys.stdout.buffer, check=False)
    if done.returncode:
        raise ToolError("tar", f"exit code {done.returncode}")


def finish(jobs: Jobs, what: str) -> dict[str, Any]:
    """After the stack has what was restored: takes the scratch folder away, and sees that there is a new base."""
    shutil.rmtree(jobs.settings.scratch / (FOLDER if what == "postgres" else f"{FOLDER}-{what}"), ignore_errors=True)
    if what == "postgres":
        state.record(jobs.settings.data, "import", until="")
    if what != "postgres" or wal.epoch(jobs.settings) is not None:
        return {}  # the service has been faster
    return jobs.backup("postgres")


def begin_anew(jobs: Jobs) -> dict[str, Any]:
    """Ends the epoch, while PostgreSQL is down: what WAL comes next belongs to a base that is still to be made."""
    with state.alone(jobs.settings.data, state.WAL, wait_seconds=60.0):
        wal.start_over(jobs.settings)
    return {}


def contents(jobs: Jobs) -> dict[str, Any]:
    """How many rows each table of the stack has just now."""
    tables = postgres.content(jobs.settings)["tables"]
    return {"rows": {table: content["rows"] for table, content in tables.items()}}


def _chosen(jobs: Jobs, at: str | None, snapshot: str | None) -> tuple[Reach, datetime.datetime]:
    at = at or (None if snapshot else state.read(jobs.settings.data).get("import", {}).get("until"))
    moment = catalog.moment(at) if at else None
    found = catalog.reaches(jobs.restic.snapshots())
    if snapshot is None:
        return catalog.choose(found, moment)
    base = one(jobs.restic.snapshots(catalog.BASE), snapshot)
    fitting = [reach for reach in found if reach.base.id == base.id]
    if not fitting:
        raise RequestError(f"The base {base.short_id} has no WAL, so that nothing can be restored from it.")
    # A base alone is what there was at its end.
    return catalog.choose(fitting, moment or fitting[0].first)
