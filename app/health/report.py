"""The health report, made from background state alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.cache.pages import PageCache
from app.events import BreakerState
from app.health.probes import Check, Probe, Status
from app.resilience.breaker import CircuitBreaker
from app.resilience.single_flight import SingleFlight
from app.telemetry.statistics import Statistics
from app.web.drain import Drain


class Health:
    """What the process knows about itself and its dependencies."""

    def __init__(
        self,
        *,
        postgres: Probe,
        redis: Probe,
        prometheus: Probe,
        jaeger: Probe,
        breakers: list[CircuitBreaker],
        cache: PageCache,
        reads: SingleFlight[bytes],
        statistics: Statistics,
        drain: Drain,
    ) -> None:
        self.postgres = postgres
        self.redis = redis
        self.prometheus = prometheus
        self.jaeger = jaeger
        self._breakers = breakers
        self._cache = cache
        self._reads = reads
        self._statistics = statistics
        self._drain = drain

    @property
    def can_serve(self) -> bool:
        """PostgreSQL is all that a request cannot do without."""
        return self.postgres.last.status == "up"

    @property
    def not_ready_because(self) -> str | None:
        """Why no new request should come here, or None."""
        if self._drain.started:
            return "This replica is draining."
        return None if self.can_serve else "PostgreSQL is not available."

    def report(self) -> dict[str, Any]:
        """The body of /api/health. Prometheus and Jaeger are shown but do not make the service degraded."""
        figures = self._statistics
        redis = self.redis.last.status
        breakers = {breaker.dependency: breaker.state for breaker in self._breakers}
        all_closed = all(state is BreakerState.CLOSED for state in breakers.values())
        cache: Status = "up" if redis == "up" and all_closed else "degraded"
        status: Status = "down" if not self.can_serve else cache
        return {
            "status": status,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "services": {
                "postgres": _check(self.postgres.last),
                "redis": _check(self.redis.last),
                "prometheus": _check(self.prometheus.last),
                "jaeger": _check(self.jaeger.last),
                "cache": {
                    "status": cache,
                    "hits": figures.cache_hits,
                    "misses": figures.cache_misses,
                    "pendingInvalidations": self._cache.pending_invalidations,
                },
                "deduplication": {
                    "status": "up",
                    "inFlight": self._reads.in_flight,
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
