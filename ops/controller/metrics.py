"""The controller's figures, in a registry of its own."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from ops.controller.decision import Decision, Finding, Repair
from ops.controller.observation import Observation


class Metrics:
    """Set by every look and every repair. `mode` is what a repair is counted under: `repair` or `dry-run`."""

    def __init__(self, mode: str) -> None:
        self.registry = CollectorRegistry()
        self._mode = mode

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"pidea_controller_{name}", text, labels, registry=self.registry)

        def counter(name: str, text: str) -> Counter:
            return Counter(f"pidea_controller_{name}", text, ("repair", "mode"), registry=self.registry)

        self._primaries = gauge("redis_primaries", "Redis servers that take themselves for the primary.")
        self._silent = gauge("silent", "Servers and sentinels that did not answer.", "kind")
        self._agree = gauge("sentinels_agree", "Sentinels that name the address that most of them name.")
        self._following = gauge("replicas_following", "Replicas that copy the primary that most sentinels name.")
        self._findings = gauge("findings", "What is wrong just now, repaired or not.", "finding")
        self._last_look = gauge("last_look_timestamp_seconds", "When the servers and sentinels were last asked.")
        self._repairs = counter("repairs", "Repairs made; in dry-run mode those that would have been.")
        self._failed = counter("repairs_failed", "Repairs that a server or sentinel refused or did not answer.")
        for repair in Repair:
            self._repairs.labels(repair, mode)
            self._failed.labels(repair, mode)

    def looked(self, seen: Observation, decisions: Sequence[Decision], timestamp_seconds: float) -> None:
        """A look is done; the time is seconds since 1970."""
        agreed = seen.agreed
        following = [s for s in seen.servers if s.is_replica and s.link_is_up and s.follows == agreed]
        self._primaries.set(len(seen.primaries))
        self._silent.labels("redis").set(sum(not server.answers for server in seen.servers))
        self._silent.labels("sentinel").set(sum(not sentinel.answers for sentinel in seen.sentinels))
        self._agree.set(sum(bool(agreed) and sentinel.primary == agreed for sentinel in seen.sentinels))
        self._following.set(len(following))
        for finding in Finding:
            self._findings.labels(finding).set(sum(decision.finding is finding for decision in decisions))
        self._last_look.set(timestamp_seconds)

    def repaired(self, repair: Repair) -> None:
        """A repair was made, or would have been."""
        self._repairs.labels(repair, self._mode).inc()

    def failed(self, repair: Repair) -> None:
        """A repair was not done."""
        self._failed.labels(repair, self._mode).inc()
