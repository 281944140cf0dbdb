"""What users are promised, how well it is kept, and what is left of each error budget."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Limits, Query, Unit, figure, lines, page, rows
from infra.settings import StackSettings

# Of a stack that is new the period is first looked at after five minutes: until then nothing is spent.
BUDGET = "(slo:error_budget_remaining:ratio or slo:objective:ratio * 0 + 1)"
_BROKEN = "(slo:failures:ratio_period or slo:objective:ratio * 0)"


def page_of(settings: StackSettings) -> Dashboard:
    """Over the period that the settings name."""
    return page(
        "slo",
        "Promises and budgets",
        f"Service level objectives over {settings.slo.window_days} days. The settings are pidea:slo.",
        [
            figure(
                "Error budget left",
                "1 is untouched, 0 is spent, below 0 the promise is broken.",
                Unit.RATIO,
                Query(f"min by (slo) {BUDGET}", "{{slo}}"),
                limits=Limits(0.5, 0.1),
                width=24,
            ),
            lines(
                "Error budget over time",
                "A cliff is an outage, a slope is a fault that goes on.",
                Unit.RATIO,
                Query(f"min by (slo) {BUDGET}", "{{slo}}"),
            ),
            lines(
                "Pace of spending, last hour",
                "1 spends the budget exactly in its period. Above 14.4 somebody is paged.",
                Unit.COUNT,
                Query("slo:failures:ratio_rate1h / (1 - slo:objective:ratio)", "{{slo}}"),
            ),
            lines(
                "Requests under a promise",
                "How many there are of each kind.",
                Unit.REQUESTS_PER_SECOND,
                Query("slo:requests:rate5m", "{{slo}}"),
            ),
            lines(
                "Broken promises",
                "Requests that failed or took too long.",
                Unit.REQUESTS_PER_SECOND,
                Query("slo:failures:rate5m", "{{slo}}"),
            ),
            rows(
                "Kept so far",
                "The part of the period's requests that went as promised.",
                Unit.RATIO,
                Query(f"1 - max by (slo) {_BROKEN}", "{{slo}}"),
            ),
            rows(
                "Promised",
                "The part of the requests that shall.",
                Unit.RATIO,
                Query("max by (slo) (slo:objective:ratio)", "{{slo}}"),
            ),
        ],
        since="now-6h",
    )
