"""What the service knows of its own work: one file, which each job adds to and the metrics read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.backup.errors import BusyError

_TIMESTAMP = "_timestamp_seconds"
JOBS = "jobs"
WAL = "wal"
_POLL_SECONDS = 0.2


def read(data: Path) -> dict[str, dict[str, Any]]:
    """By job: `last_success_timestamp_seconds`, `duration_seconds`, and what else it has measured."""
    try:
        return dict(json.loads((data / "state.json").read_text()))
    except (OSError, ValueError):
        return {}


def record(data: Path, job: str, **values: Any) -> None:
    """Adds to what is known of a job. Several processes may do so at once."""
    with _locked(data, "state", 60.0):
        known = read(data)
        known.setdefault(job, {}).update(values)
        _write(data / "state.json", json.dumps(known, indent=1, sort_keys=True))


def take_back_the_future(data: Path, now: float) -> None:
    """Moves what is recorded of later than `now` to now, by job.

    It comes of a clock that was ahead. Left alone, no job would count as late until the clock is there again.
    """
    with _locked(data, "state", 60.0):
        known = read(data)
        for values in known.values():
            ahead = {key: value - now for key, value in values.items() if key.endswith(_TIMESTAMP) and value > now}
            for key in ahead:
                # By the same, so that a failure after a success stays one.
                values[key] -= max(ahead.values())
        _write(data / "state.json", json.dumps(known, indent=1, sort_keys=True))


def next_number(data: Path) -> int:
    """One more than ever before."""
    with _locked(data, "number", 60.0):
        number = _number(data) + 1
        _write(data / "number", str(number))
        return number


def count_on(data: Path, number: int) -> None:
    """The next number is higher than this one too."""
    with _locked(data, "number", 60.0):
        if number > _number(data):
            _write(data / "number", str(number))


def _number(data: Path) -> int:
    path = data / "number"
    return int(path.read_text()) if path.exists() else 0


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(data: Path, what: str, *, wait_seconds: float) -> Iterator[None]:
    """Holds `jobs` (one backup, restore, drill or prune at a time) or `wal`; the system gives it back at our end.

    Raises BusyError where another process holds it for longer than `wait_seconds`.
    """
    with _locked(data, what, wait_seconds):
        yield


@contextlib.contextmanager
def _locked(data: Path, what: str, wait_seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + wait_seconds
    with (data / f"{what}.lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise BusyError(
                        "Another backup, restore or drill is at work; run this again when it has ended."
                    ) from None
            time.sleep(_POLL_SECONDS)
        yield
