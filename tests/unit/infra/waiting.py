"""Waiting for a condition, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], timeout_seconds: float = 60.0) -> None:
    """Return when `condition` holds. The bound is generous, it only ends a failing test."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {timeout_seconds:g} s"
        time.sleep(0.05)
