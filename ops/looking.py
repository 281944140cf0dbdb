"""Whoever is about to touch a cluster looks again first: what was just changed or broken may be whole in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ops import console

_POLL_SECONDS = 0.5


def until_none(problems: Callable[[], Sequence[str]], seconds: float, *, indent: str = "") -> list[str]:
    """Looks until there is no problem, for so long at most, and says that it does. Gives what was left."""
    deadline = time.monotonic() + seconds
    found = list(problems())
    if found:
        console.say(f"{indent}{found[0]}: looking again for {seconds:.0f} s")
    while found and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        found = list(problems())
    return found
