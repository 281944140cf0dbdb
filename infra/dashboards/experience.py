"""What users make of the service: waiting, ratings, rage, and what their browsers measured."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Limits, Query, Unit, figure, lines, or_none, page
from infra.settings import StackSettings


def page_of(_: StackSettings) -> Dashboard:
    """The same for every stack."""
    return page(
        "user-experience",
        "User experience",
        "Satisfaction by waiting time (Apdex), by ratings (CSAT), by rage, and by web vitals.",
        [
            figure(
                "Apdex",
                "1: everybody is satisfied with the time. Below 0.85 users complain.",
                Unit.COUNT,
                Query("min(job:pidea_apdex:ratio_rate5m)", "apdex"),
                limits=Limits(0.94, 0.85),
                width=8,
            ),
            figure(
                "Satisfied raters",
                "Of the ratings of the last day, those of 4 and 5.",
                Unit.RATIO,
                Query("min(job:pidea_feedback_satisfied:ratio_rate1d)", "satisfied"),
                limits=Limits(0.8, 0.6),
                width=8,
            ),
            figure(
                "Rage",
                "Bursts of the same request over and over in the last hour: a button that does nothing.",
                Unit.COUNT,
                Query("sum(increase(pidea_rage_retries_total[1h])) or vector(0)", "bursts"),
                limits=Limits(1, 10),
                width=8,
            ),
            lines(
                "Requests by satisfaction",
                "Frustrated: an error, or four times the time that satisfies.",
                Unit.REQUESTS_PER_SECOND,
                Query("sum by (zone) (rate(pidea_apdex_requests_total[$__rate_interval]))", "{{zone}}"),
                stacked=True,
            ),
            lines(
                "Ratings",
                "Of each score, in the last hour.",
                Unit.COUNT,
                Query("sum by (score) (increase(pidea_feedback_total[1h]))", "{{score}}"),
                stacked=True,
            ),
            lines(
                "Web vitals",
                "Three of four page views are at least as fast. Good: lcp 2.5 s, inp 0.2 s, fcp 1.8 s, ttfb 0.8 s.",
                Unit.SECONDS,
                Query(
                    "histogram_quantile(0.75, sum by (name, le) (rate(pidea_web_vital_seconds_bucket[15m])))",
                    "{{name}}",
                ),
            ),
            lines(
                "Layout shift",
                "Three of four page views move no more than this. Good: 0.1.",
                Unit.COUNT,
                Query(
                    "histogram_quantile(0.75, sum by (le) (rate(pidea_web_vital_layout_shift_bucket[15m])))", "shift"
                ),
            ),
            lines(
                "Rage over time",
                "Bursts an hour by variant.",
                Unit.COUNT,
                Query(or_none("sum by (variant) (increase(pidea_rage_retries_total[1h]))", "variant"), "{{variant}}"),
            ),
            lines(
                "Apdex over time",
                "By variant of the experiment.",
                Unit.COUNT,
                Query("job:pidea_apdex:ratio_rate5m", "{{variant}}"),
                top=1,
            ),
        ],
    )
