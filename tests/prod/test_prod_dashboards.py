"""Prod's dashboards, whose rows of clusters staging does not have: no panel is empty and no alert is blind, seen from
either Prometheus through an edge."""

from __future__ import annotations

from pathlib import Path

from tests.stack import watching
from tests.stack.endpoints import Endpoints
from tests.stack.prod import Prod
from tests.stack.usage import use
from tests.stack.waiting import wait_for_none
from tests.stack.watching import MEASURED_WITHIN_SECONDS


def test_no_panel_is_empty_and_every_metric_of_one_is_there(prod: Prod, tmp_path: Path) -> None:
    pages = watching.dashboards(prod, tmp_path)
    assert len(watching.queries(pages)) > 150
    endpoints = Endpoints(prod.outputs(), host=prod.address(1))

    def wrong() -> list[str]:
        use(endpoints)
        return [
            *watching.panels_without_data(endpoints, pages),
            *watching.metrics_that_panels_miss(endpoints, pages),
        ]

    wait_for_none(wrong, "a panel without data", timeout_seconds=MEASURED_WITHIN_SECONDS)


def test_every_alert_reads_metrics_that_there_are(prod: Prod) -> None:
    endpoints = Endpoints(prod.outputs(), host=prod.address(1))
    wait_for_none(
        lambda: watching.metrics_that_rules_miss(endpoints),
        "a metric that no rule can find",
        timeout_seconds=MEASURED_WITHIN_SECONDS,
    )
