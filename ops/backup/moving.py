"""The repository as one file: out of the stack for safe keeping, and into another that has a password of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ops.backup import process, state, wal
from ops.backup.errors import DamageError, PasswordError, RequestError, ToolError
from ops.backup.exchange import exchange
from ops.backup.jobs import Jobs, repository

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
    arriving = folder.with_name("arriving")
    password = jobs.settings.memory / "arriving-password"
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.mkdir(mode=0o700)
    try:
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(_line())
        process.pipe(["cat"], {}, ["tar", "--extract", f"--directory={arriving}"], {})
        theirs = repository(jobs.settings, str(arriving), password)
        snapshots = theirs.snapshots()
        if not snapshots:
            raise DamageError("The file holds a repository without a snapshot; nothing was touched.")
        if not _opens(jobs, arriving):
            theirs.run("key", "add", "--new-password-file", str(jobs.settings.repository_password_file))
        with jobs.turn(), state.alone(jobs.settings.data, state.WAL, wait_seconds=_WAL_WAIT_SECONDS):
            folder.mkdir(exist_ok=True)
            exchange(str(folder), str(arriving))
            # What arrives now belongs to no base of that repository; the service makes one by itself.
            wal.start_over(jobs.settings)
    finally:
        password.unlink(missing_ok=True)
        shutil.rmtree(arriving, ignore_errors=True)
        shutil.rmtree(jobs.settings.data / "cache", ignore_errors=True)
    return {"snapshots": len(snapshots), "newest": snapshots[-1].time}


def _folder(jobs: Jobs) -> Path:
    folder = Path(jobs.restic.repository)
    if not folder.is_absolute():
        raise RequestError("The repository is not in the stack's own volume; copy it where it is.")
    return folder


def _opens(jobs: Jobs, folder: Path) -> bool:
    try:
        repository(jobs.settings, str(folder)).run("cat", "config", "--no-lock")
    except PasswordError:
        return False
    return True


def _line() -> str:
    # Byte by byte: what comes after the line is for another process.
    found = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        found += byte
    return found.decode()
