"""The backend: rate, errors, durations, and what a replica is short of."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Query, Unit, lines, or_none, page
from infra.settings import StackSettings

_USERS = 'route!~"/api/health.*|/(api/)?status.*|/metrics"'


def page_of(_: StackSettings) -> Dashboard:
    """The same for every stack."""
    return page(
        "application",
        "Application",
        "The users' requests as the replicas see them: rate, errors, durations.",
        [
            lines(
                "Requests by route",
                "What users do.",
                Unit.REQUESTS_PER_SECOND,
                Query(
                    f"sum by (method, route) (rate(pidea_http_requests_total{{{_USERS}}}[$__rate_interval]))",
                    "{{method}} {{route}}",
                ),
                stacked=True,
            ),
            lines(
                "Answers that are no success",
                "4xx are the clients' fault, 5xx are ours. 429 and 503 may be load that was shed.",
                Unit.REQUESTS_PER_SECOND,
                Query(
                    or_none(
                        f'sum by (status) (rate(pidea_http_requests_total{{{_USERS}, status=~"[45].."}}'
                        "[$__rate_interval]))",
                        "status",
                    ),
                    "{{status}}",
                ),
                stacked=True,
            ),
            lines(
                "Durations",
                "Of all users' requests. A dot is one request: click on it for its trace.",
                Unit.SECONDS,
                *(
                    Query(
                        f"histogram_quantile({part}, sum by (le) ("
                        f"rate(pidea_http_request_duration_seconds_bucket{{{_USERS}}}[$__rate_interval])))",
                        name,
                        exemplars=part == 0.99,
                    )
                    for part, name in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))
                ),
            ),
            lines(
                "Slow end by route",
                "99 of 100 requests are answered within this time.",
                Unit.SECONDS,
                Query(
                    "histogram_quantile(0.99, sum by (method, route, le) ("
                    f"rate(pidea_http_request_duration_seconds_bucket{{{_USERS}}}[$__rate_interval])))",
                    "{{method}} {{route}}",
                ),
            ),
            lines(
                "Errors of a replica",
                "One replica alone: it is ill. All of them: a dependency is.",
                Unit.RATIO,
                Query(
                    f'(sum by (instance) (rate(pidea_http_requests_total{{{_USERS}, status=~"5.."}}[$__rate_interval]))'
                    f" or sum by (instance) (rate(pidea_http_requests_total{{{_USERS}}}[$__rate_interval])) * 0)"
                    f" / sum by (instance) (rate(pidea_http_requests_total{{{_USERS}}}[$__rate_interval]) > 0)",
                    "{{instance}}",
                ),
            ),
            lines(
                "In flight",
                "Requests being served. Near maxRequestsInFlight new ones are sent away.",
                Unit.COUNT,
                Query("sum by (instance) (pidea_http_requests_in_flight)", "{{instance}}"),
            ),
            lines(
                "Sent away",
                "Requests refused before any work, by reason. Overload: more replicas, or fewer requests.",
                Unit.REQUESTS_PER_SECOND,
                Query(
                    or_none("sum by (reason) (rate(pidea_http_requests_shed_total[$__rate_interval]))", "reason"),
                    "{{reason}}",
                ),
            ),
            lines(
                "Lag of the event loop",
                "What every request of the replica waits for. Above 0.1 s it has more to do than one processor can.",
                Unit.SECONDS,
                Query(
                    "histogram_quantile(0.99, sum by (instance, le) ("
                    "rate(pidea_event_loop_lag_seconds_bucket[$__rate_interval])))",
                    "{{instance}}",
                ),
            ),
            lines(
                "Processors",
                "Processor time of a replica; 1 is one processor, and the limit.",
                Unit.COUNT,
                Query(
                    'sum by (instance) (rate(process_cpu_seconds_total{job="app"}[$__rate_interval]))', "{{instance}}"
                ),
            ),
            lines(
                "Memory",
                "Resident memory of a replica. The limit is 256 MiB.",
                Unit.BYTES,
                Query('sum by (instance) (process_resident_memory_bytes{job="app"})', "{{instance}}"),
            ),
        ],
    )
