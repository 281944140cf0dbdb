"""Deduplication and breakers: what spares the dependencies, and what happens while one is ill."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Query, Unit, lines, or_none, page
from infra.settings import StackSettings


def page_of(_: StackSettings) -> Dashboard:
    """The same for every stack."""
    return page(
        "resilience",
        "Deduplication and breakers",
        "Identical reads that share one execution; breakers, retries and time of each dependency.",
        [
            lines(
                "Shared reads",
                "Reads that joined an identical one, within a process and across replicas.",
                Unit.PER_SECOND,
                Query(
                    or_none("sum by (scope) (rate(pidea_dedup_shared_total[$__rate_interval]))", "scope"), "{{scope}}"
                ),
            ),
            lines(
                "Reads that could not join",
                "More than one a second: PostgreSQL does the same work many times.",
                Unit.PER_SECOND,
                Query(
                    or_none("sum by (reason) (rate(pidea_dedup_refused_total[$__rate_interval]))", "reason"),
                    "{{reason}}",
                ),
            ),
            lines(
                "Circuit breakers",
                "0 closed, 1 half-open, 2 open: the replica does without the dependency.",
                Unit.COUNT,
                Query("max by (dependency, instance) (pidea_circuit_breaker_state)", "{{dependency}} {{instance}}"),
                top=2,
            ),
            lines(
                "Calls by outcome",
                "Of each dependency. What is not 'ok' went wrong, or was refused by the breaker or the bulkhead.",
                Unit.PER_SECOND,
                Query(
                    "sum by (dependency, outcome) (rate(pidea_dependency_duration_seconds_count[$__rate_interval]))",
                    "{{dependency}} {{outcome}}",
                ),
            ),
            lines(
                "Time of a call",
                "95 of 100 calls are done within this time.",
                Unit.SECONDS,
                Query(
                    "histogram_quantile(0.95, sum by (dependency, operation, le) ("
                    "rate(pidea_dependency_duration_seconds_bucket[$__rate_interval])))",
                    "{{dependency}} {{operation}}",
                ),
            ),
            lines(
                "Retries",
                "Calls tried again. Beyond the budget none is: a dependency that is ill is not asked even more.",
                Unit.PER_SECOND,
                Query(
                    or_none(
                        "sum by (dependency, within_budget) (rate(pidea_dependency_retries_total[$__rate_interval]))",
                        "dependency",
                    ),
                    "{{dependency}} {{within_budget}}",
                ),
            ),
            lines(
                "Repeated writes",
                "Writes with an Idempotency-Key that were answered with the stored response.",
                Unit.PER_SECOND,
                Query("sum(rate(pidea_idempotent_replays_total[$__rate_interval]))", "replays"),
            ),
            lines(
                "Sent away",
                "Requests refused before any work, by reason.",
                Unit.REQUESTS_PER_SECOND,
                Query(
                    or_none("sum by (reason) (rate(pidea_http_requests_shed_total[$__rate_interval]))", "reason"),
                    "{{reason}}",
                ),
            ),
        ],
    )
