"""Service level objectives as queries: how many requests there were, and how many of them broke the promise."""

from __future__ import annotations

import dataclasses

from infra import names
from infra.objectives import LatencySettings
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import ConfigSpec

CONFIG = "slo-objectives"
_EDGE = 'haproxy_frontend_http_responses_total{proxy="public"%s}'
_READS = 'pidea_cached_read_duration_seconds_%s{source=~"%s"%s}'
# What is not answered is no concern of the latency: availability counts it.
_WRITES = (
    'pidea_http_request_duration_seconds_%s{method=~"POST|PUT|PATCH|DELETE", route=~"/api/chats.*", status!~"5.."%s}'
)
# Until when everything is stored. A service that is gone stores nothing more: what it said last is remembered.
_STORED = "last_over_time(pidea_backup_wal_until_timestamp_seconds[6h])"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """A promise. `requests` and `failures` are PromQL for rates over 5 min; `service` is whom a breach concerns.

    A promise about time rather than requests (how old a backup is) counts seconds: `requests` is one a second,
    `failures` is one a second while it is broken.
    """

    name: str
    service: str
    target: float
    requests: str
    failures: str


def objectives(settings: StackSettings) -> tuple[Objective, ...]:
    """Every promise of the stack."""
    slo = settings.slo
    return (
        Objective(
            name="availability",
            service=names.EDGE,
            target=slo.availability.target,
            # At the edge, which also counts what no replica took. Rejected by the client's own fault is not failed.
            requests=_rate(_EDGE % ""),
            failures=_rate(_EDGE % ', code="5xx"'),
        ),
        _latency("cached-reads", slo.cached_reads, _READS % ("%s", "l1|l2", "%s")),
        _latency("uncached-reads", slo.uncached_reads, _READS % ("%s", "origin", "%s")),
        _latency("writes", slo.writes, _WRITES),
        Objective(
            name="backups",
            service=names.BACKUP,
            target=slo.backups.target,
            requests=f"max({_STORED} > bool 0)",
            failures=f"max(time() - ({_STORED} > 0) > bool {slo.backups.maximum_age_seconds})",
        ),
        _tracing(settings),
    )


def config(settings: StackSettings) -> ConfigSpec:
    """Recording rules of the stack's objectives; the alerts on them are the same for every stack, in rules/slo.yml."""
    return config_from_template(
        CONFIG,
        "slo-objectives.yml.j2",
        objectives=objectives(settings),
        window_days=settings.slo.window_days,
        minimum_failures=settings.slo.minimum_failures,
    )


def _tracing(settings: StackSettings) -> Objective:
    # Where the application hands them in; what comes from there to Jaeger must not count twice.
    spans = f'{{job="{names.COLLECTOR if settings.nodes > 1 else names.JAEGER}"}}'
    accepted, refused, failed = (
        _or_nothing(f"otelcol_{what}_spans_total{spans}")
        for what in ("receiver_accepted", "receiver_refused", "exporter_send_failed")
    )
    return Objective(
        name="tracing",
        service=names.JAEGER,
        target=settings.slo.tracing.target,
        requests=f"{accepted} + {refused}",
        failures=f"{refused} + {failed}",
    )


def _latency(name: str, wanted: LatencySettings, histogram: str) -> Objective:
    requests = _rate(histogram % ("count", ""))
    # The application writes limits as Python does: 1.0, where Prometheus' own clients write 1.
    in_time = _rate(histogram % ("bucket", f', le="{wanted.threshold_seconds!r}"'))
    return Objective(
        name=name,
        service=names.APP,
        target=wanted.target,
        requests=requests,
        # Not below nothing: between two scrapes of a new series the buckets can be ahead of the count.
        failures=f"clamp_min({requests} - {in_time}, 0)",
    )


def _rate(series: str) -> str:
    return f"sum(rate({series}[5m]))"


def _or_nothing(series: str) -> str:
    # A counter of spans is not there before its first one.
    return f"({_rate(series)} or vector(0))"
