"""How late the event loop is: the first sign of a process that has more to do than it can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

INTERVAL_SECONDS = 0.1
# What one stall says about the next moment halves this often.
HALF_LIFE_SECONDS = 0.5


class LoopLag:
    """Sets a timer again and again and looks how late it is."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._worst_seconds = 0.0
        self._worst_at = 0.0

    @property
    def recent_seconds(self) -> float:
        """The lag of late: that of the worst stall, fading within a second or two."""
        age_seconds = time.monotonic() - self._worst_at
        fading: float = 0.5 ** min(age_seconds / HALF_LIFE_SECONDS, 100.0)
        return self._worst_seconds * fading

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            due = time.monotonic() + INTERVAL_SECONDS
            await asyncio.sleep(INTERVAL_SECONDS)
            now = time.monotonic()
            lag_seconds = max(0.0, now - due)
            self._observe(lag_seconds)
            if lag_seconds >= self.recent_seconds:
                self._worst_seconds, self._worst_at = lag_seconds, now
