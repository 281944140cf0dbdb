"""The few figures that the health report shows, kept apart from the metrics library."""

from __future__ import annotations

from collections import deque

from app.events import CacheLookedUp, Event, ReadShared, RequestFinished

WINDOW = 1000


class Statistics:
    """Counts since the start of the process, and the mean over the last 1,000 user requests."""

    def __init__(self) -> None:
        self.cache_hits = 0
        self.cache_misses = 0
        self.shared_reads = 0
        self._durations: deque[float] = deque(maxlen=WINDOW)

    @property
    def cache_hit_rate(self) -> float:
        """Between 0 and 1; 0 before the first lookup."""
        lookups = self.cache_hits + self.cache_misses
        return self.cache_hits / lookups if lookups else 0.0

    @property
    def average_response_milliseconds(self) -> float:
        """0 before the first request."""
        return 1000 * sum(self._durations) / len(self._durations) if self._durations else 0.0

    def on_event(self, event: Event) -> None:
        """Count what happened."""
        match event:
            case RequestFinished(is_user_traffic=True):
                self._durations.append(event.duration_seconds)
            case CacheLookedUp(hit=True):
                self.cache_hits += 1
            case CacheLookedUp(hit=False):
                self.cache_misses += 1
            case ReadShared():
                self.shared_reads += 1
