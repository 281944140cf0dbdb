"""What is watched of a stack, and whether its Prometheus has it: data for panels, metrics for rules."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.dashboards import definitions
from ops.dashboards.definitions import Dashboard
from ops.dashboards.window import Window
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance
from tests.stack.queries import metrics_read

# A rate over five minutes needs two scrapes, a budget one of its evaluations, every two minutes.
MEASURED_WITHIN_SECONDS = 240
# What appears with its first event. The application's own are held against its registry by tests/alerts.
AFTER_AN_EVENT = re.compile(
    r"pidea_\w+|redis_(connected_slave_lag_seconds|master_link_up)"
    r"|otelcol_(receiver_refused|exporter_send_failed)_spans_total"
)


def dashboards(stack: Instance, folder: Path) -> dict[str, Dashboard]:
    """The dashboards that the stack was deployed with, as the viewer reads them in `folder`."""
    for config in stack.plan.configs:
        if config.name.startswith("dashboard-"):
            (folder / f"{config.name}.json").write_text(config.content)
    return definitions.load(folder)


def queries(pages: Mapping[str, Dashboard]) -> list[tuple[str, str]]:
    """Every query of every panel, of the last quarter of an hour, with where it stands."""
    window = Window.parse("now-15m", "now", time.time(), 15)
    return [
        (f"{page.uid}: {panel.title}: {target.expression}", window.fill(target.expression))
        for page in pages.values()
        for panel in page.panels
        for target in panel.targets
    ]


def panels_without_data(endpoints: Endpoints, pages: Mapping[str, Dashboard]) -> list[str]:
    """Where a query finds no number. Raises requests.HTTPError for one that is wrong: waiting would not help it."""

    def has_numbers(query: str) -> bool:
        numbers = [float(one["value"][1]) for one in endpoints.prometheus("query", query=query)["result"]]
        return any(number == number for number in numbers)

    return [name for name, query in queries(pages) if not has_numbers(query)]


def metrics_that_panels_miss(endpoints: Endpoints, pages: Mapping[str, Dashboard]) -> list[str]:
    """Metrics that are not there; also where a zero would stand in for them."""
    there = _there(endpoints)
    return [
        f"{metric} in {name}"
        for name, query in queries(pages)
        for metric in metrics_read(query)
        if metric not in there and not AFTER_AN_EVENT.fullmatch(metric)
    ]


def metrics_that_rules_miss(endpoints: Endpoints, but_for: re.Pattern[str] | None = None) -> list[str]:
    """Metrics that are not there, so that a rule can never fire; `but_for` those that cannot be on such a stack."""
    there = _there(endpoints)
    return sorted(
        f"{rule['name']}: {metric}"
        for rule in rules(endpoints)
        for metric in metrics_read(rule["query"])
        if metric not in there
        and not AFTER_AN_EVENT.fullmatch(metric)
        and not (but_for is not None and but_for.fullmatch(metric))
    )


def rules(endpoints: Endpoints) -> list[dict[str, Any]]:
    """All rules that Prometheus has loaded."""
    return [rule for group in endpoints.prometheus("rules")["groups"] for rule in group["rules"]]


def _there(endpoints: Endpoints) -> set[str]:
    return set(endpoints.prometheus("label/__name__/values"))
