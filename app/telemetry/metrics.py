"""Prometheus metrics, fed by events. One process per container, so one registry tells all."""

from __future__ import annotations

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from app.events import (
    BreakerChanged,
    BreakerState,
    CacheFailed,
    CacheLookedUp,
    Event,
    ReadShared,
    RequestFinished,
    RequestStarted,
)

# From a cache hit (about 1 ms) to a request that ran into every timeout.
BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Every metric of the process; `on_event` is the subscriber."""

    def __init__(self, version: str, revision: str) -> None:
        # A second time series for each counter, which nothing here reads.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = ("method", "route", "status")
        self._duration = Histogram(
            "pidea_http_request_duration_seconds",
            "Time from the first byte of a request to the last of its answer.",
            labels,
            buckets=BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._requests = Counter("pidea_http_requests", "Requests answered.", labels, registry=self.registry)
        self._in_flight = Gauge("pidea_http_requests_in_flight", "Requests being served.", registry=self.registry)
        self._hits = Counter("pidea_cache_hits", "Lookups that Redis served.", registry=self.registry)
        self._misses = Counter("pidea_cache_misses", "Lookups that Redis did not have.", registry=self.registry)
        self._errors = Counter("pidea_cache_errors", "Cache operations that failed.", registry=self.registry)
        self._shared = Counter("pidea_dedup_shared", "Reads that joined an identical one.", registry=self.registry)
        self._breakers = Gauge(
            "pidea_circuit_breaker_state",
            "0 closed, 1 half-open, 2 open.",
            ("dependency",),
            registry=self.registry,
        )
        build = Gauge("pidea_build_info", "Always 1.", ("version", "revision"), registry=self.registry)
        build.labels(version, revision).set(1)

    def watch_breaker(self, dependency: str) -> None:
        """Show a breaker from the start, not only after its first change."""
        self._breakers.labels(dependency).set(BreakerState.CLOSED)

    def on_event(self, event: Event) -> None:
        """Count what happened."""
        match event:
            case RequestStarted():
                self._in_flight.inc()
            case RequestFinished():
                labels = (event.method, event.route, str(event.status))
                self._in_flight.dec()
                self._requests.labels(*labels).inc()
                self._duration.labels(*labels).observe(event.duration_seconds)
            case CacheLookedUp(hit=hit):
                (self._hits if hit else self._misses).inc()
            case CacheFailed():
                self._errors.inc()
            case ReadShared():
                self._shared.inc()
            case BreakerChanged():
                self._breakers.labels(event.dependency).set(event.state)
