"""The health report, made from background state alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from app.events import BreakerState
from app.health.askers import Askers
from app.health.probes import Check, Probe, Status
from app.resilience.breaker import CircuitBreaker
from app.storage.patience import PATIENCE_SECONDS
from app.telemetry.statistics import Statistics
from app.web.drain import Drain


class Health:
    """What the process knows about itself and its dependencies.

    `database` is all that a request cannot do without; without `redis` the service is degraded; what is in `others`
    is shown and changes nothing.
    """

    def __init__(
        self,
        *,
        database: Probe,
        redis: Probe,
        others: list[Probe],
        breakers: list[CircuitBreaker],
        cache_figures: Callable[[], Mapping[str, int]],
        reads_in_flight: Callable[[], int],
        statistics: Statistics,
        drain: Drain,
        askers: Askers,
    ) -> None:
        self.database = database
        self.redis = redis
        self.others = others
        self._breakers = breakers
        self._cache_figures = cache_figures
        self._reads_in_flight = reads_in_flight
        self._statistics = statistics
        self._drain = drain
        self._askers = askers

    @property
    def can_serve(self) -> bool:
        """Whether every request can be served, not only those that a stale answer does for."""
        return self.database.last.status == "up"

    def not_ready_because(self, asker: str) -> str | None:
        """Why no new request of `asker`, an address, should come here, or None.

        The database being away is no reason for whoever asked all the time: every replica would leave the edge at once,
        and with them the reads that the cache can still answer.
        """
        if self._drain.started:
            return "This replica is draining."
        # For so long requests wait for the next primary, here as anywhere.
        has_database = self.database.missing_seconds < PATIENCE_SECONDS
        if not self._askers.may_be_told(asker, has_database=has_database):
            return "This replica has no database yet."
        return None

    def report(self) -> dict[str, Any]:
        """The body of /api/health."""
        figures = self._statistics
        breakers = {breaker.dependency: breaker.state for breaker in self._breakers}
        all_closed = all(state is BreakerState.CLOSED for state in breakers.values())
        cache: Status = "degraded" if self.redis.last.status == "down" or not all_closed else "up"
        status: Status = "down" if not self.can_serve else cache
        probes = (self.database, self.redis, *self.others)
        return {
            "status": status,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "services": {
                **{probe.name: _check(probe.last) for probe in probes},
                "cache": {
                    "status": cache,
                    "hits": figures.cache_hits,
                    "misses": figures.cache_misses,
                    **self._cache_figures(),
                },
                "deduplication": {
                    "status": "up",
                    "inFlight": self._reads_in_flight(),
                    "shared": figures.shared_reads,
                },
                "circuitBreaker": {
                    "status": "up" if all_closed else "degraded",
                    "dependencies": {name: state.name.lower() for name, state in breakers.items()},
                },
            },
            "performance": {
                "cacheHitRate": round(figures.cache_hit_rate, 4),
                "averageResponseTime": round(figures.average_response_milliseconds, 3),
                "duplicateRequests": figures.shared_reads,
            },
        }


def _check(check: Check) -> dict[str, Any]:
    shown: dict[str, Any] = {"status": check.status}
    if check.latency_milliseconds is not None:
        shown["latencyMs"] = check.latency_milliseconds
    if check.detail is not None:
        shown["detail"] = check.detail
    return shown
