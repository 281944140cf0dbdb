"""What changed, and what it did to the users. Every dashboard marks deployments and chaos; here they are told."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Query, Unit, lines, page, rows
from infra.settings import StackSettings


def page_of(_: StackSettings) -> Dashboard:
    """The same for every stack."""
    return page(
        "changes",
        "Deployments and chaos",
        "Marked: deployments with digest and author (blue), faults that were ordered (red).",
        [
            lines(
                "Replicas by release",
                "For the time of an update two releases run side by side.",
                Unit.COUNT,
                Query("count by (version, revision) (pidea_build_info)", "{{version}} {{revision}}"),
                stacked=True,
            ),
            lines(
                "Failed requests",
                "Of all users' requests. A step at a mark says what did it.",
                Unit.RATIO,
                Query(
                    'sum(rate(haproxy_frontend_http_responses_total{proxy="public", code="5xx"}[$__rate_interval]))'
                    ' / (sum(rate(haproxy_frontend_http_responses_total{proxy="public"}[$__rate_interval])) > 0)',
                    "failed",
                ),
            ),
            rows(
                "Deployments and faults of the last day",
                "The value is how long ago.",
                Unit.SECONDS,
                Query(
                    "time() - max by (kind, title, digest, author) (last_over_time(pidea_event_timestamp_seconds[1d]))",
                    "{{kind}} {{title}}",
                ),
            ),
            lines(
                "How long users wait",
                "95 of 100 requests are answered within this time.",
                Unit.SECONDS,
                Query("max(job:pidea_http_request_duration_seconds:p95_5m)", "95 %"),
            ),
            lines(
                "Tasks that answer",
                "A dip is a task that is replaced.",
                Unit.COUNT,
                Query("sum by (job) (up)", "{{job}}"),
                width=24,
            ),
        ],
        since="now-6h",
    )
