"""Prometheus metrics, fed by events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import prometheus_client
from opentelemetry import trace
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

from app import context, events
from app.events import BreakerState, Event

# From a cache hit (below 1 ms) to a request that ran into every timeout.
BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TIER_BUCKETS_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
# Around the limits that browsers' vendors call good and poor.
VITAL_BUCKETS_SECONDS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2, 1.8, 2.5, 4.0, 8.0)
SHIFT_BUCKETS = (0.01, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0)
TOLERATED_FACTOR = 4


class Metrics:
    """Every metric of the process; `on_event` is the subscriber.

    It has to hear events in the context of the request that they are about: variant and trace id come from there.
    """

    def __init__(self, version: str, revision: str, *, apdex_threshold_seconds: float) -> None:
        # A second time series for each counter, which nothing here reads.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._apdex_threshold_seconds = apdex_threshold_seconds
        self._children: dict[tuple[object, ...], Any] = {}
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        request = ("method", "route", "status", "variant")
        self._duration = self._histogram(
            "pidea_http_request_duration_seconds",
            "Time from the first byte of a request to the last of its answer.",
            request,
            BUCKETS_SECONDS,
        )
        # Beside the one above, whose routes cannot tell a hit from a miss: the two are promised different times.
        self._read_duration = self._histogram(
            "pidea_cached_read_duration_seconds", "Cached reads, by what answered them.", ("source",), BUCKETS_SECONDS
        )
        self._requests = self._counter("pidea_http_requests", "Requests answered.", request)
        self._errors = self._counter("pidea_http_errors", "Requests answered with 5xx.", request)
        self._shed = self._counter("pidea_http_requests_shed", "Requests refused before any work.", ("reason",))
        self._in_flight = self.gauge("pidea_http_requests_in_flight", "Requests being served.")
        self._hits = self._counter("pidea_cache_hits", "Lookups that a tier served.", ("tier",))
        self._misses = self._counter("pidea_cache_misses", "Lookups that a tier did not have.", ("tier",))
        self._lookups = self._histogram(
            "pidea_cache_lookup_duration_seconds", "Lookups in a tier.", ("tier",), TIER_BUCKETS_SECONDS
        )
        self._reads = self._counter(
            "pidea_cache_reads", "Cached reads by what answered them.", ("source", "stale", "variant")
        )
        self._cache_errors = self._counter(
            "pidea_cache_errors", "Cache operations that failed; the request went on.", ("tier", "operation")
        )
        self._invalidations = self._counter("pidea_cache_invalidations", "Groups dropped.", ("origin",))
        self._refreshes = self._counter("pidea_cache_refreshes", "Entries loaded again before they expired.", ())
        self._shared = self._counter("pidea_dedup_shared", "Reads that joined an identical one.", ("scope",))
        self._dedup_refused = self._counter("pidea_dedup_refused", "Reads that could not join.", ("reason",))
        self._replays = self._counter("pidea_idempotent_replays", "Writes answered with the stored response.", ())
        self._calls = self._histogram(
            "pidea_dependency_duration_seconds",
            "Guarded calls of a dependency.",
            ("dependency", "operation", "outcome"),
            BUCKETS_SECONDS,
        )
        self._retries = self._counter("pidea_dependency_retries", "Calls tried again.", ("dependency", "within_budget"))
        self._breakers = self.gauge("pidea_circuit_breaker_state", "0 closed, 1 half-open, 2 open.", ("dependency",))
        self._apdex = self._counter(
            "pidea_apdex_requests", "User requests by how satisfying their duration is.", ("zone", "variant")
        )
        self._feedback = self._counter("pidea_feedback", "Ratings from 1 to 5.", ("score", "variant"))
        self._rage = self._counter("pidea_rage_retries", "Bursts of the same request over and over.", ("variant",))
        self._vitals = self._histogram(
            "pidea_web_vital_seconds", "Web vitals that are times.", ("name", "variant"), VITAL_BUCKETS_SECONDS
        )
        self._shift = self._histogram(
            "pidea_web_vital_layout_shift", "Cumulative layout shift, without unit.", ("variant",), SHIFT_BUCKETS
        )
        self.loop_lag = self._histogram(
            "pidea_event_loop_lag_seconds", "How late a timer of the event loop is.", (), BUCKETS_SECONDS
        )
        build = self.gauge("pidea_build_info", "Always 1.", ("version", "revision"))
        build.labels(version, revision).set(1)

    def watch_breaker(self, dependency: str) -> None:
        """Show a breaker from the start, not only after its first change."""
        self._breakers.labels(dependency).set(BreakerState.CLOSED)

    def watch(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Show what `read` says when the metrics are scraped."""
        self.gauge(name, description).set_function(read)

    def gauge(self, name: str, description: str, labels: tuple[str, ...] = ()) -> Gauge:
        """A gauge that the caller sets."""
        return Gauge(name, description, labels, registry=self.registry)

    def on_event(self, event: Event) -> None:
        """Count what happened."""
        match event:
            case events.TierLookedUp(tier, hit, seconds):
                self._of(self._hits if hit else self._misses, tier).inc()
                if tier != "l1":
                    self._of(self._lookups, tier).observe(seconds)
            case events.ReadServed(source, _, stale):
                self._of(self._reads, source, "true" if stale else "false", context.variant().name).inc()
            case events.RequestStarted():
                self._in_flight.inc()
            case events.RequestFinished():
                self._finished(event)
            case events.DependencyCalled(dependency, operation, outcome, seconds):
                self._of(self._calls, dependency, operation, outcome).observe(seconds)
            case events.RequestShed(reason):
                self._of(self._shed, reason).inc()
            case events.CacheFailed(tier, operation):
                self._of(self._cache_errors, tier, operation).inc()
            case events.CacheInvalidated(remote):
                self._of(self._invalidations, "replica" if remote else "local").inc()
            case events.CacheRefreshed():
                self._refreshes.inc()
            case events.ReadShared(across_replicas):
                self._of(self._shared, "replicas" if across_replicas else "process").inc()
            case events.DedupRefused(reason):
                self._of(self._dedup_refused, reason).inc()
            case events.IdempotentReplay():
                self._replays.inc()
            case events.DependencyRetried(dependency, within_budget):
                self._of(self._retries, dependency, "true" if within_budget else "false").inc()
            case events.BreakerChanged(dependency, state):
                self._of(self._breakers, dependency).set(state)
            case events.FeedbackGiven(score):
                self._of(self._feedback, str(score), context.variant().name).inc()
            case events.WebVitalReported("cls", value):
                self._of(self._shift, context.variant().name).observe(value)
            case events.WebVitalReported(name, value):
                self._of(self._vitals, name, context.variant().name).observe(value)
            case events.RageRetried():
                self._of(self._rage, context.variant().name).inc()

    def _finished(self, event: events.RequestFinished) -> None:
        labels = (event.method, event.route, str(event.status), event.variant)
        self._in_flight.dec()
        self._of(self._requests, *labels).inc()
        self._of(self._duration, *labels).observe(event.duration_seconds, _exemplar())
        if event.cache is not None:
            self._of(self._read_duration, event.cache).observe(event.duration_seconds)
        if event.status >= 500:
            self._of(self._errors, *labels).inc()
        if event.is_user_traffic:
            self._of(self._apdex, self._zone(event), event.variant).inc()

    def _zone(self, event: events.RequestFinished) -> str:
        if event.status >= 500 or event.duration_seconds > TOLERATED_FACTOR * self._apdex_threshold_seconds:
            return "frustrated"
        return "satisfied" if event.duration_seconds <= self._apdex_threshold_seconds else "tolerating"

    def _of(self, metric: Any, *labels: str) -> Any:
        # `labels()` takes a lock and builds strings each time; this is called several times a request.
        child = self._children.get((metric, labels))
        if child is None:
            child = self._children[metric, labels] = metric.labels(*labels)
        return child

    def _counter(self, name: str, description: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, description, labels, registry=self.registry)

    def _histogram(self, name: str, description: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, description, labels, buckets=buckets, registry=self.registry)


def expose(metrics: Metrics, accept: str) -> bytes:
    """Prometheus' text format, or OpenMetrics where `accept` asks for it."""
    encode, _ = choose_encoder(accept)
    return encode(metrics.registry)


def _exemplar() -> dict[str, str] | None:
    span_context = trace.get_current_span().get_span_context()
    # One that is not sampled leads nowhere.
    return {"trace_id": trace.format_trace_id(span_context.trace_id)} if span_context.trace_flags.sampled else None
