"""Who asks whether this replica is ready, and may be told so while the database is away."""

from __future__ import annotations

import time
from collections.abc import Callable

# Six of an edge's questions. It has given up on a replica that left two of them without an answer.
SILENCE_SECONDS = 3.0


class Askers:
    """Remembers for `silence_seconds` whom this replica told that it is ready.

    An edge that asked all the time keeps a replica without a database: all of them are alike then, and their caches can
    still answer. One that asks again after a silence was cut off from this replica, and may well reach others that have
    a database: a replica that has none yet would answer with 503 at once, and draw most requests by being so quick.
    """

    def __init__(self, silence_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._told: dict[str, float] = {}

    def may_be_told(self, asker: str, *, has_database: bool) -> bool:
        """Whether `asker`, an address, is to be told that this replica is ready."""
        now = self._clock()
        # Anybody may ask through the edge, each by another address.
        self._told = {one: at for one, at in self._told.items() if now - at < self._silence_seconds}
        ready = has_database or asker in self._told
        if ready:
            self._told[asker] = now
        return ready
