"""The jobs: a backup of each thing, keeping what the retention says, a check of the repository."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import re
import secrets
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ops.backup import catalog, log, postgres, recovery, redis, state, wal
from ops.backup.errors import BackupError, BusyError, DamageError, PasswordError, RequestError, SpaceError, ToolError
from ops.backup.location import Location
from ops.backup.restic import Restic
from ops.backup.settings import Settings

POSTGRES, REDIS, ALERTMANAGER = "postgres", "redis", "alertmanager"
SILENCES_FILE = "silences.json"
ALL = (POSTGRES, REDIS, ALERTMANAGER)
_ATTEMPTS = 3
_BETWEEN_ATTEMPTS_SECONDS = 5.0
_WAL_WAIT_SECONDS = 300.0
_HTTP_SECONDS = 10.0
# With less nothing can be stored, whatever the tool that failed says of it.
_FULL_BYTES = 1 << 20
# Of the scheduled check: in three weeks every byte was read.
DAILY_SHARE = "5%"

# What restic calls a thing that it could not read: a pack, an index, a snapshot.
_NAMES_DAMAGE = re.compile(r"[0-9a-f]{8,}")

_Made = TypeVar("_Made")


class Jobs:
    """One at a time, whoever starts it, the service or a command. `wait_seconds` is how long to wait for one's turn."""

    def __init__(self, settings: Settings, *, wait_seconds: float = 0.0) -> None:
        self.settings = settings
        self.restic = repository(settings, settings.repository)
        self.offsite = repository(settings, settings.offsite) if settings.offsite else None
        self._wait_seconds = wait_seconds

    def backup(self, what: str, *, only_if: Callable[[], bool] = lambda: True) -> dict[str, Any]:
        """Backs one thing up; gives what it measured. Raises BackupError after the third attempt.

        Nothing where `only_if` says so once it is our turn: what we waited for may have been the same.
        """
        make = {POSTGRES: self._postgres, REDIS: self._redis, ALERTMANAGER: self._alertmanager}
        if what not in make:
            raise RequestError(f"Nothing is called {what!r}; there is {', '.join(make)}.")
        with self.job(what), self.turn():
            return self._timed(what, make[what]) if only_if() else {}

    def check(self, share: str) -> dict[str, Any]:
        """Reads `share` of the repository. Raises DamageError with what is damaged."""
        with self.job("check"), self.turn():
            return self._timed("check", lambda: _check(self.restic, share), attempts=1)

    def check_offsite(self, share: str) -> dict[str, Any]:
        """The same of the repository off site, where there is one."""
        with self.job("check-offsite"), self.turn():
            return self._timed("check-offsite", lambda: _check(self._other(), share), attempts=1)

    def tidy(self) -> dict[str, Any]:
        """Forgets what the retention does not keep, and frees its room."""

        def make() -> dict[str, Any]:
            with state.alone(self.settings.data, state.WAL, wait_seconds=_WAL_WAIT_SECONDS):
                self.restic.unlock()
                gone = self._forget(self.restic)
            stored, restored = self.restic.sizes()
            return {"forgotten": gone, "repository_bytes": stored, "restore_bytes": restored}

        with self.job("tidy"), self.turn():
            return self._timed("tidy", make)

    def tidy_offsite(self) -> dict[str, Any]:
        """The same in the repository off site. One that lets nothing be deleted is tidied by who can, where it is."""
        with self.job("tidy-offsite"), self.turn():
            return self._timed("tidy-offsite", lambda: {"forgotten": self._forget(self._other())})

    def copy(self) -> dict[str, Any]:
        """Copies to the repository off site what is to be kept and is not there yet."""

        def make() -> dict[str, Any]:
            other, found = self._other(), self.restic.snapshots()
            gone = {snapshot.id for snapshot in catalog.superfluous(found, self.settings.retention)}
            whole = {snapshot.id for snapshot in catalog.whole_bases(found)}
            kept = [s.id for s in found if s.id not in gone and (s.kind != catalog.BASE or s.id in whole)]
            other.copy_from(self.restic, kept)
            return {"snapshots": len(kept)}

        with self.job("offsite"), self.turn():
            return self._timed("offsite", make)

    def push(self, *, until: str | None = None) -> dict[str, Any]:
        """Stores the WAL that has arrived."""
        with self.job("wal"), state.alone(self.settings.data, state.WAL, wait_seconds=_WAL_WAIT_SECONDS):
            return self._timed("wal", lambda: self._push(until), attempts=1)

    def keep_state(self) -> dict[str, Any]:
        """Stores what comes by stdin: the archive of Pulumi's state and the stack's settings."""

        def make() -> dict[str, Any]:
            _, through = self.restic.store_stream(["cat"], {}, "state.tar", {"kind": catalog.STATE})
            return {"bytes": through.size_bytes}

        with self.job("state"):
            return self._timed("state", make, attempts=1)

    def count_on(self) -> None:
        """What is stored from now on has higher numbers than everything in the repository."""
        state.count_on(self.settings.data, max((found.number for found in self.restic.snapshots()), default=0))

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Holds the one turn that there is."""
        return state.alone(self.settings.data, state.JOBS, wait_seconds=self._wait_seconds)

    @contextlib.contextmanager
    def job(self, name: str) -> Iterator[None]:
        """Records the failure of what is done inside."""
        try:
            yield
        except BusyError:
            raise
        except (BackupError, OSError) as error:
            log.line("ERROR", f"{name} failed", error=str(error))
            # On a full disk what was known before stays; that the job is late is told all the same.
            with contextlib.suppress(OSError):
                state.record(self.settings.data, name, last_failure_timestamp_seconds=time.time(), error=str(error))
            free = shutil.disk_usage(self.settings.data).free
            if free < _FULL_BYTES and not isinstance(error, SpaceError):
                raise SpaceError(f"The backup volume is full, {free >> 10} KiB are free; make room: {error}") from error
            raise

    def _timed(self, name: str, make: Callable[[], dict[str, Any]], *, attempts: int = _ATTEMPTS) -> dict[str, Any]:
        begun = time.time()
        found = _patiently(make, attempts)
        found["duration_seconds"] = round(time.time() - begun, 3)
        state.record(self.settings.data, name, last_success_timestamp_seconds=time.time(), error="", **found)
        log.line("INFO", f"{name} done", **found)
        return found

    def _other(self) -> Restic:
        if self.offsite is None:
            raise RequestError("There is no repository off site; name one in the settings: pidea:backup, offsite.")
        return self.offsite

    def _forget(self, restic: Restic) -> int:
        gone = [] if restic.location.append_only else catalog.superfluous(restic.snapshots(), self.settings.retention)
        restic.forget([snapshot.id for snapshot in gone])
        restic.prune()
        return len(gone)

    def _postgres(self) -> dict[str, Any]:
        settings, restic = self.settings, self.restic
        if wal.epoch(settings) is None:
            # Until there is a base nothing of now can be restored: that one is made as fast as it gets.
            settings = dataclasses.replace(settings, upload_kib_per_second=0)
            restic = repository(settings, settings.repository)
        found = restic.snapshots()
        whole = {snapshot.id for snapshot in catalog.whole_bases(found)}
        restic.forget([s.id for s in found if s.kind == catalog.BASE and s.id not in whole])
        # The receiver must be at work before the base begins, else WAL of its beginning is missing.
        wal.wait_for(settings, postgres.flushed(settings)[0])
        name = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        command, passwords = postgres.base_command(settings)
        about = {"kind": catalog.BASE, "epoch": name, catalog.MAJOR: postgres.major_of_server(settings)}
        expected = postgres.size_bytes(settings)
        _, through = restic.store_stream(command, passwords, "base.tar", about, expected_bytes=expected)
        base = postgres.base_of(through.head)
        first = wal.segment_name(base.timeline, base.start_lsn)
        if not any(segment.name[8:24] == first[8:24] for segment in wal.segments(settings.wal)):
            raise ToolError(
                "The base backup", f"WAL of its beginning ({first}) was written before the receiver started"
            )
        # Of the primary, after the base was whole: the base's own end lies before.
        lsn, stop = postgres.flushed(settings)
        wal.wait_for(settings, lsn)
        mark = postgres.content(settings)
        with state.alone(settings.data, state.WAL, wait_seconds=_WAL_WAIT_SECONDS):
            # The WAL so far ends the epoch before: whoever restores to a time before this base finds all of it there.
            self._push(None)
            (settings.wal / recovery.MARKS).write_text(json.dumps(mark) + "\n")
            wal.begin_epoch(settings, name, first, {"base_stop": stop, "base_bytes": str(through.size_bytes)})
            pushed = self._push(None)
        return {
            "bytes": through.size_bytes,
            "rows": sum(table["rows"] for table in mark["tables"].values()),
            "until": pushed["until"],
        }

    def _push(self, until: str | None) -> dict[str, Any]:
        pushed = wal.push(self.settings, self.restic, until=until)
        if pushed is None:
            return {"until": "", "until_timestamp_seconds": 0.0, "set_back": False}
        seconds = catalog.moment(pushed.until).timestamp()
        return {"until": pushed.until, "until_timestamp_seconds": seconds, "set_back": pushed.set_back}

    def mark(self) -> None:
        """Records what is in the tables just now, so that a drill can restore to here and compare."""
        content = postgres.content(self.settings)
        turn = state.alone(self.settings.data, state.WAL, wait_seconds=_WAL_WAIT_SECONDS)
        with turn, (self.settings.wal / recovery.MARKS).open("a") as file:
            file.write(json.dumps(content) + "\n")

    def _redis(self) -> dict[str, Any]:
        server = redis.choose(self.settings)
        command, login = redis.copy_command(self.settings, server)
        about = {"kind": catalog.REDIS, "keys": str(server.keys), "from": server.host}
        limit = self.settings.upload_kib_per_second * 1024
        expected = int(state.read(self.settings.data).get(REDIS, {}).get("bytes", 0))  # the copy before
        _, through = self.restic.store_stream(
            command, login, redis.FILE, about, bytes_per_second=limit, expected_bytes=expected
        )
        return {"bytes": through.size_bytes, "keys": server.keys}

    def _alertmanager(self) -> dict[str, Any]:
        said = "none of them answers"
        for url in self.settings.alertmanager_urls:
            try:
                with urllib.request.urlopen(f"{url}/api/v2/silences", timeout=_HTTP_SECONDS) as answer:  # noqa: S310
                    silences = json.load(answer)
            except (urllib.error.URLError, OSError, ValueError) as error:
                said = str(error)
                continue
            live = [silence for silence in silences if silence["status"]["state"] != "expired"]
            text = json.dumps(live)
            self.restic.store_text(text, SILENCES_FILE, {"kind": catalog.ALERTMANAGER, "silences": str(len(live))})
            return {"bytes": len(text), "silences": len(live)}
        raise ToolError("Asking the Alertmanagers", said)


def repository(settings: Settings, location: Location, password_file: Path | None = None) -> Restic:
    """A repository of this stack, or one that another password opens."""
    return Restic(
        location,
        password_file or settings.repository_password_file,
        settings.data / "cache",
        instance=settings.instance,
        next_number=functools.partial(state.next_number, settings.data),
        upload_kib_per_second=settings.upload_kib_per_second,
    )


def _check(restic: Restic, share: str) -> dict[str, Any]:
    try:
        restic.check(share)
    except PasswordError:
        raise
    except ToolError as error:
        if error.is_about_the_network:
            raise
        named = [line.strip() for line in error.said.splitlines() if _NAMES_DAMAGE.search(line)]
        what = f"The repository {restic.location.url} is damaged: "
        raise DamageError(what + ("; ".join(named[:20]) or error.said)) from None
    return {"share": share}


def _patiently(make: Callable[[], _Made], attempts: int) -> _Made:
    for attempt in range(1, attempts + 1):
        try:
            return make()
        except PasswordError:
            raise  # another attempt has no other password
        except ToolError as error:
            if attempt == attempts:
                raise
            log.line("WARNING", "trying again", error=str(error))
            time.sleep(_BETWEEN_ATTEMPTS_SECONDS * attempt)
    raise AssertionError("unreachable")
