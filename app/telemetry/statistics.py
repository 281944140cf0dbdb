"""The figures that the health report and the status page show, kept apart from the metrics library."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from app import events
from app.events import Event, RequestFinished

# User requests whose durations are kept, for the percentiles.
WINDOW = 1000
RATE_SECONDS = 60
BUDGET_SECONDS = 3600
SATISFIED_SCORE = 4
TOLERATED_FACTOR = 4


class Statistics:
    """Of this process, since its start unless a figure says otherwise. Bounded memory."""

    def __init__(
        self,
        *,
        apdex_threshold_seconds: float,
        availability_objective: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._apdex_threshold_seconds = apdex_threshold_seconds
        self._objective = availability_objective
        self._clock = clock
        self._started_at = clock()
        self._durations: deque[float] = deque(maxlen=WINDOW)
        self._requests = 0
        self._errors = 0
        # One number of requests and of errors for each second that had any: [second, requests, errors].
        self._seconds: deque[list[int]] = deque()
        self._apdex_points = 0.0
        self._hits: Counter[str] = Counter()
        self._misses: Counter[str] = Counter()
        self._reads: Counter[str] = Counter()
        self._stale = 0
        self._scores: Counter[int] = Counter()
        self._shed: Counter[str] = Counter()
        self._rage_retries = 0
        self.shared_reads = 0

    @property
    def cache_hits(self) -> int:
        """Reads that a tier answered."""
        return self._reads.total() - self._reads["origin"]

    @property
    def cache_misses(self) -> int:
        """Reads that the origin had to answer."""
        return self._reads["origin"]

    @property
    def cache_hit_rate(self) -> float:
        """Between 0 and 1; 0 before the first read."""
        return _ratio(self.cache_hits, self._reads.total()) or 0.0

    @property
    def average_response_milliseconds(self) -> float:
        """Over the last user requests; 0 before the first."""
        return 1000 * sum(self._durations) / len(self._durations) if self._durations else 0.0

    def snapshot(self) -> dict[str, Any]:
        """Everything, ready for JSON. None where there is nothing to tell yet."""
        durations = sorted(self._durations)
        recent = self._since(RATE_SECONDS)
        return {
            "uptime_seconds": round(self._clock() - self._started_at, 1),
            "requests": {
                "count": self._requests,
                "errors": self._errors,
                "per_second": round(recent[0] / min(RATE_SECONDS, max(1.0, self._clock() - self._started_at)), 2),
            },
            "latency_milliseconds": {
                "p50": _percentile(durations, 0.50),
                "p95": _percentile(durations, 0.95),
                "p99": _percentile(durations, 0.99),
                "mean": round(self.average_response_milliseconds, 3) if durations else None,
            },
            "tiers": {
                tier: {
                    "hits": self._hits[tier],
                    "misses": self._misses[tier],
                    "hit_ratio": _ratio(self._hits[tier], self._hits[tier] + self._misses[tier]),
                }
                for tier in ("l1", "l2", "l3")
            },
            "reads": {
                **{source: self._reads[source] for source in ("l1", "l2", "l3", "origin")},
                "hit_ratio": _ratio(self.cache_hits, self._reads.total()),
                "stale": self._stale,
            },
            "deduplicated": self.shared_reads,
            "apdex": _ratio(self._apdex_points, self._requests),
            "csat": _ratio(
                sum(count for score, count in self._scores.items() if score >= SATISFIED_SCORE), self._scores.total()
            ),
            "rage_retries": self._rage_retries,
            "shed": dict(self._shed),
            "error_budget": {"objective": self._objective, "remaining_ratio": self._budget_left()},
        }

    def on_event(self, event: Event) -> None:
        """Count what happened."""
        match event:
            case events.TierLookedUp(tier, hit):
                (self._hits if hit else self._misses)[tier] += 1
            case events.ReadServed(source, _, stale):
                self._reads[source] += 1
                self._stale += stale
            case RequestFinished(is_user_traffic=True):
                self._finished(event)
            case events.ReadShared():
                self.shared_reads += 1
            case events.RequestShed(reason):
                self._shed[reason] += 1
            case events.FeedbackGiven(score):
                self._scores[score] += 1
            case events.RageRetried():
                self._rage_retries += 1

    def _finished(self, event: RequestFinished) -> None:
        failed = event.status >= 500
        self._durations.append(event.duration_seconds)
        self._requests += 1
        self._errors += failed
        if not failed and event.duration_seconds <= self._apdex_threshold_seconds:
            self._apdex_points += 1.0
        elif not failed and event.duration_seconds <= TOLERATED_FACTOR * self._apdex_threshold_seconds:
            self._apdex_points += 0.5
        second = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
            while self._seconds[0][0] <= second - BUDGET_SECONDS:
                self._seconds.popleft()
        self._seconds[-1][1] += 1
        self._seconds[-1][2] += failed

    def _since(self, seconds: int) -> tuple[int, int]:
        earliest = self._clock() - seconds
        requests = errors = 0
        for second, count, failed in reversed(self._seconds):
            if second < earliest:
                break
            requests += count
            errors += failed
        return requests, errors

    def _budget_left(self) -> float | None:
        """How much of the errors that the objective allows in an hour is still allowed; negative when overspent."""
        requests, errors = self._since(BUDGET_SECONDS)
        return round(1.0 - errors / (requests * (1.0 - self._objective)), 4) if requests else None


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _percentile(ordered_seconds: list[float], part: float) -> float | None:
    """In milliseconds, by nearest rank."""
    if not ordered_seconds:
        return None
    return round(1000 * ordered_seconds[math.ceil(part * len(ordered_seconds)) - 1], 3)
