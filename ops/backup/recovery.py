"""A restore of PostgreSQL up to a moment, in the scratch folder, by a server of our own that nobody else reaches.

What comes out is a whole data directory, cleanly shut down: whoever takes it over has nothing left to replay.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.backup import catalog, log, postgres, process
from ops.backup import wal as wal_files
from ops.backup.catalog import Reach
from ops.backup.errors import DamageError, SpaceError, ToolError
from ops.backup.restic import Restic
from ops.backup.settings import Settings

MARKS = "marks"
_START_SECONDS = 3600
_STOP_SECONDS = 600
_SPARE_BYTES = 256 << 20
_NOT_REACHED = "recovery ended before configured recovery target was reached"
_HBA = "local all all trust\n"
_CONF = """\
listen_addresses = ''
unix_socket_directories = '{folder}'
hba_file = '{folder}/pg_hba.conf'
shared_buffers = 64MB
max_wal_size = 1GB
# Should the machine fall over, the restore begins anew.
fsync = off
hot_standby = off
archive_mode = off
jit = off
dynamic_shared_memory_type = mmap
timezone = 'UTC'
log_timezone = 'UTC'
restore_command = 'cp "{wal}/%f" "%p" 2>/dev/null || cp "{wal}/%f.partial" "%p"'
recovery_target_timeline = 'latest'
recovery_target_action = 'promote'
{target}
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recovered:
    """`files` is the data directory, `psql` reaches the server on it."""

    files: Path
    psql: tuple[str, ...]

    def tables(self) -> dict[str, Any]:
        """Rows and digests of every table."""
        return postgres.tables_of(self.psql, {})


def needed_bytes(restic: Restic, reach: Reach) -> int:
    """Disk that a restore takes at most for a while."""
    return reach.base_bytes * 5 // 4 + restic.size_bytes(reach.wal.id) * 2 + _SPARE_BYTES


@contextlib.contextmanager
def recovered(
    settings: Settings, restic: Restic, reach: Reach, at: datetime.datetime | str, folder: Path
) -> Iterator[Recovered]:
    """A server with what there was at a time, or at a place in the WAL (text); it has ended when the block has.

    Raises SpaceError before anything is unpacked, DamageError for a base that is not as it was made.
    """
    needed = needed_bytes(restic, reach)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SpaceError(f"A restore needs {needed >> 20} MiB in the backup volume, {free >> 20} are free; make room.")
    files = folder / "files"
    _unpack(restic, reach, folder, files)
    wal = folder / settings.wal.relative_to("/")
    if at != reach.last and not isinstance(at, str) and (twice_from := reach.wal.about.get(wal_files.TWICE_FROM)):
        # Where nobody wrote between that time and the setting of the clock, the replay would go on through what has
        # earlier times and came later.
        wal_files.cut(wal, twice_from)
    (folder / "pg_hba.conf").write_text(_HBA)
    _start(folder, files, wal, at, is_last=at == reach.last)
    try:
        yield Recovered(
            files=files,
            psql=(
                *("psql", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1"),
                *(f"--host={folder}", "--username=postgres", f"--dbname={settings.postgres_database}"),
            ),
        )
    finally:
        process.run(["pg_ctl", "stop", "--wait", "--mode=fast", f"--timeout={_STOP_SECONDS}", f"--pgdata={files}"], {})


def marks(settings: Settings, restic: Restic, reach: Reach) -> list[dict[str, Any]]:
    """The contents of the tables that were recorded while the base's WAL was written, the oldest first."""
    text = restic.dump(reach.wal.id, str(settings.wal / MARKS).lstrip("/"))
    return [json.loads(line) for line in text.splitlines()]


def _unpack(restic: Restic, reach: Reach, folder: Path, files: Path) -> None:
    files.mkdir(mode=0o700)
    log.line("INFO", "unpacking the base", base=reach.base.short_id, bytes=reach.base_bytes)
    command, environment = restic.dump_command(reach.base.id, "base.tar")
    tar = ["tar", "--extract", "--no-same-owner", f"--directory={files}"]
    process.pipe(command, environment, tar, {}, progress=log.Progress("unpacking the base", reach.base_bytes))
    try:
        process.run(["pg_verifybackup", "--no-parse-wal", "--quiet", str(files)], {})
    except ToolError as error:
        raise DamageError(f"The base {reach.base.short_id} is damaged: {error.said[-300:]}") from None
    log.line("INFO", "unpacking WAL", snapshot=reach.wal.short_id)
    restic.restore(reach.wal.id, folder)


def _start(folder: Path, files: Path, wal: Path, at: datetime.datetime | str, *, is_last: bool) -> None:
    if isinstance(at, str):
        target = f"recovery_target_lsn = '{at}'\nrecovery_target_inclusive = off"
    else:
        target = f"recovery_target_time = '{catalog.tagged(at)}'"
    # A base of a standby says that it is one, and would wait for more WAL for ever.
    (files / "standby.signal").unlink(missing_ok=True)
    (files / "recovery.signal").touch()
    log.line("INFO", "replaying WAL", until=str(at))
    if not is_last:
        try:
            _pg_ctl_start(folder, files, wal, target)
            return
        except ToolError:
            # Nobody has written since: what there is at the end of the WAL is what there was at that time.
            if _NOT_REACHED not in (folder / "server.log").read_text():
                raise
    _pg_ctl_start(folder, files, wal, "")


def _wait_until_replayed(folder: Path, files: Path) -> None:
    # pg_ctl waits until the files are consistent, which is long before the target.
    ask = ["psql", "--no-psqlrc", "--quiet", f"--host={folder}", "--username=postgres", "--dbname=postgres"]
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ToolError):
            process.run([*ask, "--command", "SELECT 1"], {}, timeout_seconds=30)
            return
        if not (files / "postmaster.pid").exists():
            raise ToolError("PostgreSQL", "it ended")
        time.sleep(0.1)
    raise ToolError("Replaying WAL", f"no end within {_START_SECONDS} s")


def _pg_ctl_start(folder: Path, files: Path, wal: Path, target: str) -> None:
    conf = folder / "postgresql.conf"
    conf.write_text(_CONF.format(folder=folder, wal=wal, target=target))
    said = folder / "server.log"
    command = ["pg_ctl", "start", "--silent", "--wait", f"--pgdata={files}", f"--log={said}"]
    try:
        process.run([*command, f"--timeout={_START_SECONDS}", f"--options=-c config_file={conf}"], {})
        _wait_until_replayed(folder, files)
    except ToolError:
        last = [line for line in said.read_text().splitlines() if "FATAL" in line or "PANIC" in line][-1:]
        raise ToolError("Replaying WAL", last[0] if last else said.read_text()[-500:]) from None
