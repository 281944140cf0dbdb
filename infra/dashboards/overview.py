"""Is all well? If not, which dashboard next?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.objectives import BUDGET
from infra.dashboards.panels import Limits, Query, Unit, figure, lines, or_none, page, rows
from infra.settings import StackSettings

# The dead man's switch fires while all is well.
_ALERTS = 'ALERTS{alertstate="firing", alertname!="PideaHeartbeat"}'


def page_of(_: StackSettings) -> Dashboard:
    """The same for every stack."""
    return page(
        "overview",
        "Overview",
        "Whether users are served, what alerts, and what is short.",
        [
            figure(
                "Alerts",
                "Alerts that fire now; each has a runbook in docs/runbooks/.",
                Unit.COUNT,
                Query(f"count({_ALERTS}) or vector(0)", "alerts"),
                limits=Limits(1, 1),
            ),
            figure(
                "Silent targets",
                "Tasks that do not answer Prometheus.",
                Unit.COUNT,
                Query("sum(up == bool 0)", "targets"),
                limits=Limits(1, 1),
            ),
            figure(
                "Users' requests",
                "Requests that the edge answers.",
                Unit.REQUESTS_PER_SECOND,
                Query('sum(rate(haproxy_frontend_http_responses_total{proxy="public"}[$__rate_interval]))', "requests"),
            ),
            figure(
                "Failed",
                "Of the users' requests, those that the edge answered with 5xx.",
                Unit.RATIO,
                Query(
                    'sum(rate(haproxy_frontend_http_responses_total{proxy="public", code="5xx"}[$__rate_interval]))'
                    ' / (sum(rate(haproxy_frontend_http_responses_total{proxy="public"}[$__rate_interval])) > 0)'
                    " or vector(0)",
                    "failed",
                ),
                limits=Limits(0.001, 0.01),
            ),
            figure(
                "Slowest in twenty",
                "95 of 100 requests are answered within this time.",
                Unit.SECONDS,
                Query("max(job:pidea_http_request_duration_seconds:p95_5m)", "p95"),
                limits=Limits(0.25, 0.5),
            ),
            figure(
                "Least error budget",
                "What is left of the promise that is nearest to being broken; below 0 it is.",
                Unit.RATIO,
                Query(f"min{BUDGET}", "left"),
                limits=Limits(0.5, 0.1),
            ),
            lines(
                "Requests by answer",
                "Normal: hardly any 5xx. Next: the dashboards Edge and Application.",
                Unit.REQUESTS_PER_SECOND,
                Query(
                    'sum by (code) (rate(haproxy_frontend_http_responses_total{proxy="public"}[$__rate_interval])) > 0',
                    "{{code}}",
                ),
                stacked=True,
            ),
            lines(
                "How long users wait",
                "The median and the slow end. A dot is one request: click on it for its trace.",
                Unit.SECONDS,
                *(
                    Query(
                        f"histogram_quantile({part}, sum by (le) (rate("
                        'pidea_http_request_duration_seconds_bucket{route=~"/api/chats.*"}[$__rate_interval])))',
                        name,
                        exemplars=part == 0.99,
                    )
                    for part, name in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))
                ),
            ),
            lines(
                "Alerts over time",
                "What fired when. 'none' is what one wants to see.",
                Unit.COUNT,
                Query(or_none(f"sum by (alertname, service) ({_ALERTS})", "alertname"), "{{alertname}} {{service}}"),
            ),
            lines(
                "Circuit breakers",
                "0 closed: all is well. 1 half-open: one call tries. 2 open: the application does without.",
                Unit.COUNT,
                Query("max by (dependency) (pidea_circuit_breaker_state)", "{{dependency}}"),
                top=2,
            ),
            rows(
                "Tasks that answer",
                "By what Prometheus calls them; 1 is up, 0 is down.",
                Unit.COUNT,
                Query("up", "{{job}} {{instance}}"),
            ),
            lines(
                "Nodes",
                "How much of processors and memory is taken. Above 90 % everything becomes slow.",
                Unit.RATIO,
                Query(
                    '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))',
                    "processors {{instance}}",
                ),
                Query("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "memory {{instance}}"),
                top=1,
            ),
        ],
    )
