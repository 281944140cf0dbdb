"""When which job is due: its schedule, and a while of chance, so that not every stack begins in the same second."""

from __future__ import annotations

import dataclasses
import datetime
import random
from collections.abc import Callable

from infra.schedule import Schedule


@dataclasses.dataclass
class _Entry:
    schedule: Schedule
    job: Callable[[], object]
    due: datetime.datetime | None = None


class Timetable:
    """Asked again and again what is due. What became due while something else ran, or the clock jumped, is due once."""

    def __init__(self, jitter_seconds: float, chance: random.Random) -> None:
        self._jitter_seconds = jitter_seconds
        self._chance = chance
        self._entries: dict[str, _Entry] = {}

    def add(self, name: str, schedule: Schedule, job: Callable[[], object]) -> None:
        """A job under a name of its own."""
        self._entries[name] = _Entry(schedule, job)

    def due(self, now: datetime.datetime) -> list[Callable[[], object]]:
        """The jobs whose time has come; the next time of each lies after `now`."""
        found = []
        for entry in self._entries.values():
            if entry.due is not None and entry.due <= now:
                found.append(entry.job)
                entry.due = None
            # A clock that was set back must not leave a job waiting for a time that was far ahead.
            if entry.due is None or entry.due > self._next(entry, now, self._jitter_seconds):
                entry.due = self._next(entry, now, self._chance.uniform(0, self._jitter_seconds))
        return found

    def _next(self, entry: _Entry, now: datetime.datetime, jitter_seconds: float) -> datetime.datetime:
        return entry.schedule.next(now) + datetime.timedelta(seconds=jitter_seconds)
