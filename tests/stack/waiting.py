"""Waiting for what takes a while, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(look: Callable[[], T], what: str, *, timeout_seconds: float = 60.0, pause_seconds: float = 0.5) -> T:
    """The first truthy answer of `look`. Raises AssertionError, with the last answer, when the time is up."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds:.0f} s in vain until {what}; last seen: {answer!r}")
        time.sleep(pause_seconds)


def wait_for_none(look: Callable[[], list[str]], what: str, *, timeout_seconds: float = 60.0) -> None:
    """Returns when `look` finds nothing any more. Raises AssertionError with what it still finds."""
    deadline = time.monotonic() + timeout_seconds
    while found := look():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_seconds:.0f} s there is still {what}:\n" + "\n".join(found))
        time.sleep(0.5)
