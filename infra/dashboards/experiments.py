"""A/B experiments: what differs between the variants. Without an experiment there is one, `optimised`."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Query, Unit, lines, page, rows
from infra.settings import StackSettings

_USERS = 'route!~"/api/health.*|/(api/)?status.*|/metrics"'


def page_of(settings: StackSettings) -> Dashboard:
    """Named after the experiment that runs."""
    running = settings.app.experiment
    about = f"Experiment {running.name}." if running else "No experiment runs: everybody has the same variant."
    return page(
        "experiments",
        "A/B experiments",
        about,
        [
            lines(
                "Requests by variant",
                "The shares should be those of the weights.",
                Unit.REQUESTS_PER_SECOND,
                Query(
                    f"sum by (variant) (rate(pidea_http_requests_total{{{_USERS}}}[$__rate_interval]))", "{{variant}}"
                ),
                stacked=True,
            ),
            lines(
                "Apdex by variant",
                "A variant that is 0.1 worse than the best one is an alert.",
                Unit.COUNT,
                Query("job:pidea_apdex:ratio_rate5m", "{{variant}}"),
                top=1,
            ),
            lines(
                "Slow end by variant",
                "95 of 100 requests are answered within this time.",
                Unit.SECONDS,
                Query(
                    "histogram_quantile(0.95, sum by (variant, le) ("
                    f"rate(pidea_http_request_duration_seconds_bucket{{{_USERS}}}[$__rate_interval])))",
                    "{{variant}}",
                ),
            ),
            lines(
                "Errors by variant",
                "The part of its requests that ended with 5xx.",
                Unit.RATIO,
                Query(
                    f'(sum by (variant) (rate(pidea_http_requests_total{{{_USERS}, status=~"5.."}}[$__rate_interval]))'
                    f" or sum by (variant) (rate(pidea_http_requests_total{{{_USERS}}}[$__rate_interval])) * 0)"
                    f" / sum by (variant) (rate(pidea_http_requests_total{{{_USERS}}}[$__rate_interval]) > 0)",
                    "{{variant}}",
                ),
            ),
            lines(
                "Hit rate by variant",
                "Of its cached reads, those that l1 or l2 answered.",
                Unit.RATIO,
                Query(
                    'sum by (variant) (rate(pidea_cache_reads_total{source=~"l1|l2"}[$__rate_interval]))'
                    " / (sum by (variant) (rate(pidea_cache_reads_total[$__rate_interval])) > 0)",
                    "{{variant}}",
                ),
                top=1,
            ),
            rows(
                "Satisfied raters by variant",
                "Of the ratings of the last day, those of 4 and 5.",
                Unit.RATIO,
                Query("job:pidea_feedback_satisfied:ratio_rate1d", "{{variant}}"),
            ),
        ],
    )
