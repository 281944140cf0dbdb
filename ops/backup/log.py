"""One JSON object a line, on stderr: a command's stdout is its result."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any, ClassVar

PROGRESS = "PROGRESS"
_EVERY_SECONDS = 1.0


def line(level: str, message: str, **fields: Any) -> None:
    """Writes it at once."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    entry = {"timestamp": now, "level": level, "logger": "backup", "message": message, **fields}
    sys.stderr.write(json.dumps(entry, default=str, ensure_ascii=False) + "\n")
    sys.stderr.flush()


class Progress:
    """How far one thing is, at most once a second. `total_bytes` 0 where nobody knows how much there is.

    `is_watched` says that somebody waits for it; the service itself does not tell its log.
    """

    is_watched: ClassVar[bool] = False

    def __init__(self, what: str, total_bytes: int = 0) -> None:
        self._what, self._total_bytes = what, total_bytes
        self._next = time.monotonic() + _EVERY_SECONDS

    def __call__(self, done_bytes: int) -> None:
        if self.is_watched and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_SECONDS
            line(PROGRESS, self._what, done_bytes=done_bytes, total_bytes=self._total_bytes)
