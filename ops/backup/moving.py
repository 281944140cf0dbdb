"""Repositories of other stacks, with passwords of their own: taken over from a file, from off site, or where they are;
and ours as a file for safe keeping."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ops.backup import catalog, log, process, state, wal
from ops.backup.errors import DamageError, PasswordError, RequestError, SpaceError, ToolError
from ops.backup.exchange import exchange
from ops.backup.jobs import Jobs, repository
from ops.backup.location import Location
from ops.backup.restic import Restic, Snapshot

_WAL_WAIT_SECONDS = 300.0


def send(jobs: Jobs) -> None:
    """Writes the repository to stdout as a tar, whole and between two changes. It stays encrypted."""
    folder = _folder(jobs)
    with jobs.turn(), state.alone(jobs.settings.data, state.WAL, wait_seconds=_WAL_WAIT_SECONDS):
        jobs.restic.unlock()
        done = subprocess.run(["tar", "--create", f"--directory={folder}", "."], stdout=sys.stdout.buffer, check=False)
    if done.returncode:
        raise ToolError("tar", f"exit code {done.returncode}")


def receive(jobs: Jobs) -> dict[str, Any]:
    """Takes from stdin a line with a repository's password, then its tar, and puts it in the place of ours.

    It opens with our own password too from then on. Raises PasswordError or DamageError while ours is still untouched.
    """
    folder = _folder(jobs)
    with _their_password(jobs) as password:

        def unpack(arriving: Path) -> None:
            tar = ["tar", "--extract", f"--directory={arriving}"]
            process.pipe(["cat"], {}, tar, {}, progress=log.Progress("taking the repository over"))

        return _replace(jobs, folder, unpack, password)


def receive_offsite(jobs: Jobs) -> dict[str, Any]:
    """Takes from stdin a line with the password of the repository off site, and puts a copy of it in the place of ours.

    It lets us in from then on.
    """
    folder = _folder(jobs)
    with _their_password(jobs) as password:
        theirs = _other(jobs, password)
        kept = [snapshot.id for snapshot in theirs.snapshots()]
        needed, free = theirs.sizes()[0], shutil.disk_usage(jobs.settings.data).free
        if free < needed:
            raise SpaceError(
                f"The copy takes {needed >> 20} MiB in the backup volume, {free >> 20} are free; make room."
            )

        def copy(arriving: Path) -> None:
            repository(jobs.settings, Location(url=str(arriving)), password).copy_from(theirs, kept)

        found = _replace(jobs, folder, copy, password)
        _let_in(jobs, theirs)
    return found


def adopt(jobs: Jobs) -> dict[str, Any]:
    """Takes from stdin a line with the password of a repository on a server, which lets us in from then on."""
    with _their_password(jobs) as password:
        found = [
            repository(jobs.settings, location, password)
            for location in (jobs.settings.repository, jobs.settings.offsite)
            if location is not None and not location.is_folder
        ]
        if not found:
            raise RequestError("No repository is on a server; `backup import` takes over one in a file.")
        snapshots = {theirs.location.url: _let_in(jobs, theirs) for theirs in found}
        if not jobs.restic.location.is_folder:
            _remember(jobs, snapshots[jobs.restic.location.url])
        return {"repositories": {url: len(theirs) for url, theirs in snapshots.items()}}


def _remember(jobs: Jobs, snapshots: Sequence[Snapshot]) -> None:
    # The stack has a base of its own soon, of a database that is still empty, and a copy of no silences. What a restore
    # without a time is for is the newest of what was taken over.
    found = catalog.reaches(snapshots)
    silences = [snapshot.id for snapshot in snapshots if snapshot.kind == catalog.ALERTMANAGER]
    state.count_on(jobs.settings.data, max((snapshot.number for snapshot in snapshots), default=0))
    until = catalog.tagged(found[-1].last) if found else ""
    state.record(jobs.settings.data, "import", until=until, silences=silences[-1] if silences else "")


def _let_in(jobs: Jobs, theirs: Restic) -> list[Snapshot]:
    snapshots = theirs.snapshots()
    if not _opens(jobs, theirs.location):
        theirs.let_in(jobs.settings.repository_password_file)
    return snapshots


def _replace(jobs: Jobs, folder: Path, fill: Callable[[Path], None], password: Path) -> dict[str, Any]:
    arriving = folder.with_name("arriving")
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.mkdir(mode=0o700)
    try:
        fill(arriving)
        snapshots = _let_in(jobs, repository(jobs.settings, Location(url=str(arriving)), password))
        if not snapshots:
            raise DamageError("That repository has no snapshot; nothing was touched.")
        with jobs.turn(), state.alone(jobs.settings.data, state.WAL, wait_seconds=_WAL_WAIT_SECONDS):
            folder.mkdir(exist_ok=True)
            exchange(str(folder), str(arriving))
            # What arrives now belongs to no base of that repository; the service makes one by itself.
            wal.start_over(jobs.settings)
            _remember(jobs, snapshots)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
        shutil.rmtree(jobs.settings.data / "cache", ignore_errors=True)
    return {"snapshots": len(snapshots), "newest": snapshots[-1].time}


@contextlib.contextmanager
def _their_password(jobs: Jobs) -> Iterator[Path]:
    """The line on stdin as a file in memory, as long as the block lasts."""
    password = jobs.settings.memory / "arriving-password"
    descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(_line())
        yield password
    finally:
        password.unlink(missing_ok=True)


def _folder(jobs: Jobs) -> Path:
    location = jobs.restic.location
    if not location.is_folder:
        raise RequestError(f"The repository is {location.url}, not in the stack's own volume; `backup adopt` uses it.")
    return Path(location.url)


def _other(jobs: Jobs, password: Path) -> Restic:
    if jobs.settings.offsite is None:
        raise RequestError("There is no repository off site; name one in the settings: pidea:backup, offsite.")
    return repository(jobs.settings, jobs.settings.offsite, password)


def _opens(jobs: Jobs, location: Location) -> bool:
    try:
        repository(jobs.settings, location).run("cat", "config", "--no-lock")
    except PasswordError:
        return False
    return True


def _line() -> str:
    # Byte by byte: what comes after the line is for another process.
    found = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        found += byte
    return found.decode()
