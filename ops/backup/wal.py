"""WAL as it is written: a receiver that follows the primary, and its way into the repository."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from ops.backup import catalog, log, postgres, process
from ops.backup.errors import ToolError
from ops.backup.restic import Restic
from ops.backup.settings import Settings

_PAUSE_SECONDS = 2.0
# Below, it is as if nothing had been: two nodes' clocks may be so far apart after a failover.
_SET_BACK_SECONDS = 10.0
_TO_ARRIVE_SECONDS = 20.0
# What the server says where the WAL that we are missing is gone, or belongs to a history that was given up.
_BROKEN = (
    "has already been removed",
    "is not in this server's history",
    "requested starting point",
    "is ahead of the",
    "invalidated",
)
# What every snapshot of the epoch's WAL says: its name, and what of its base was not known when that was stored.
EPOCH = "epoch"
# Of an epoch whose clock was set back: the place in the WAL from which on times have come twice.
TWICE_FROM = "twice_from"
_PLACE = "lsn"


class Receiver(threading.Thread):
    """Keeps pg_receivewal running, which a failover or a restart of the server ends.

    Every byte is on our disk before the server hears that it is. Where the stream cannot go on from what is here, the
    epoch ends: the WAL that comes next belongs to a base that is still to be made.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True, name="wal-receiver")
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()

    def run(self) -> None:
        """Until `end`."""
        while not self._ending.is_set():
            try:
                self._receive()
            except (OSError, ToolError) as error:
                said = error.said if isinstance(error, ToolError) else str(error)
                log.line("WARNING", "the WAL receiver ended", said=said[-500:])
                if any(sign in said for sign in _BROKEN):
                    start_over(self._settings)
                    self._drop_slot()
            self._ending.wait(_PAUSE_SECONDS)

    def end(self) -> None:
        """Ends it, with what has arrived on the disk."""
        self._ending.set()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        self.join(10)

    def _drop_slot(self) -> None:
        # It holds a place that is lost, or one in another history. The next start makes it anew.
        where = postgres.connection(self._settings, "primary")
        command = ["pg_receivewal", "--drop-slot", f"--slot={postgres.SLOT}", "--no-password", "--dbname", where]
        with contextlib.suppress(ToolError):
            process.run(command, postgres.passwords(self._settings), timeout_seconds=60)

    def _receive(self) -> None:
        settings = self._settings
        settings.wal.mkdir(parents=True, exist_ok=True)
        where = postgres.connection(settings, "primary")
        common = [f"--directory={settings.wal}", f"--slot={postgres.SLOT}", "--no-password", "--dbname", where]
        passwords = postgres.passwords(settings)
        # Of the server itself: after a failover or a restore it has none, or an empty one.
        process.run(["pg_receivewal", "--create-slot", "--if-not-exists", *common], passwords, timeout_seconds=60)
        command = ["pg_receivewal", "--synchronous", "--status-interval=1", "--no-loop", *common]
        with process.started(command, passwords, stderr=subprocess.PIPE) as running:
            assert running.stderr  # noqa: S101 - for mypy
            self._process = running
            tail = process.Tail(running.stderr)
            code = running.wait()
        if not self._ending.is_set():
            raise ToolError("pg_receivewal", tail.text() or f"exit code {code}")


def epoch(settings: Settings) -> str | None:
    """The base that the WAL here belongs to; None before the first."""
    about = _about_epoch(settings)
    return about["epoch"] if about else None


def _about_epoch(settings: Settings) -> dict[str, str] | None:
    path = settings.wal / EPOCH
    return dict(json.loads(path.read_text())) if path.exists() else None


def begin_epoch(settings: Settings, name: str, first_segment: str, about_base: Mapping[str, str]) -> None:
    """From now on WAL belongs to the base `name`; what is older than its first segment is not needed here any more.

    Every snapshot of it says `about_base`.
    """
    _write_epoch(settings, {"epoch": name, **about_base})
    for segment in segments(settings.wal):
        # The timeline comes first in a name, then the place in the WAL.
        if segment.name[8:24] < first_segment[8:24]:
            segment.unlink(missing_ok=True)


def _write_epoch(settings: Settings, about: Mapping[str, str]) -> None:
    path = settings.wal / EPOCH
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(about))
    unfinished.rename(path)


def start_over(settings: Settings) -> None:
    """Sets what is here aside: it does not lead to what the server has now."""
    log.line("WARNING", "the WAL here does not lead to the server's; a new base is due")
    shutil.rmtree(settings.wal, ignore_errors=True)
    settings.wal.mkdir(parents=True, exist_ok=True)


def segments(folder: Path) -> list[Path]:
    """The WAL segments in a folder, whole or still growing, in their order."""
    return sorted(path for path in folder.iterdir() if len(path.name.split(".")[0]) == 24)


def segment_name(timeline: int, lsn: str) -> str:
    """The file that holds a place in the WAL, for segments of 16 MiB."""
    place = postgres.position(lsn) >> 24
    return f"{timeline:08X}{place >> 8:08X}{place & 0xFF:08X}"


def wait_for(settings: Settings, lsn: str, *, seconds: float = _TO_ARRIVE_SECONDS) -> None:
    """Until the receiver has WAL up to there. Raises ToolError where it does not arrive."""
    deadline = time.monotonic() + seconds
    while True:
        here = postgres.received(settings)
        if here is not None and postgres.position(here) >= postgres.position(lsn):
            return
        if time.monotonic() > deadline:
            raise ToolError("Receiving WAL", f"{lsn} did not arrive within {seconds:.0f} s; the receiver is at {here}")
        time.sleep(0.2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pushed:
    """The WAL in the repository has everything `until` then. `set_back`: times of the epoch have come twice."""

    until: str
    set_back: bool


def push(settings: Settings, restic: Restic, *, until: str | None = None) -> Pushed | None:
    """Stores the WAL of the epoch as it is.

    `until` says until which time that is everything, where the caller knows it, because the server has ended; else the
    primary is asked. None before the first base.
    """
    about = _about_epoch(settings)
    if about is None:
        return None
    lsn = None
    if until is None:
        lsn, until = postgres.flushed(settings)
        wait_for(settings, lsn)
    # After the server's clock was set back the same times come again. What is stored never says less than before: else
    # it would seem to have nothing of after its base.
    known = about.get("until", about["base_stop"])
    behind = (catalog.moment(known) - catalog.moment(until)).total_seconds()
    about["until"] = known if behind > 0 else until
    set_back = behind > _SET_BACK_SECONDS
    if set_back and _PLACE in about:
        about.setdefault(TWICE_FROM, about[_PLACE])
    if lsn is not None and behind <= 0:
        about[_PLACE] = lsn
    _write_epoch(settings, about)
    restic.store_folder(settings.wal, {"kind": catalog.WAL, **about})
    return Pushed(until=about["until"], set_back=set_back)


def cut(folder: Path, lsn: str) -> None:
    """Takes away all WAL in a folder from a place on, on every timeline."""
    place = postgres.position(lsn)
    for segment in segments(folder):
        begin = (int(segment.name[8:16], 16) << 32) + (int(segment.name[16:24], 16) << 24)
        if begin >= place:
            segment.unlink()
        elif place - begin < segment.stat().st_size:
            # What follows is no WAL, as in a segment that is still growing.
            with segment.open("r+b") as file:
                file.seek(place - begin)
                file.write(bytes(segment.stat().st_size - (place - begin)))
