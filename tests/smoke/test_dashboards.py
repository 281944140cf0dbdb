"""Every panel has something to show on a stack that is used, and what happened is marked."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from ops.dashboards import definitions
from ops.dashboards.definitions import Dashboard
from ops.dashboards.window import Window
from tests.smoke.test_watching_live import AFTER_AN_EVENT, MEASURED_WITHIN_SECONDS
from tests.stack.endpoints import TIMEOUT_SECONDS, Endpoints
from tests.stack.instance import Instance
from tests.stack.queries import metrics_read
from tests.stack.usage import use
from tests.stack.waiting import wait_for_none, wait_until


@pytest.fixture
def endpoints(stack: Instance) -> Endpoints:
    """The ways in."""
    return Endpoints(stack.outputs())


@pytest.fixture
def pages(stack: Instance, tmp_path: Path) -> dict[str, Dashboard]:
    """The dashboards that the stack was deployed with, as the viewer reads them."""
    for config in stack.plan.configs:
        if config.name.startswith("dashboard-"):
            (tmp_path / f"{config.name}.json").write_text(config.content)
    return definitions.load(tmp_path)


def queries(pages: dict[str, Dashboard]) -> list[tuple[str, str]]:
    window = Window.parse("now-15m", "now", time.time(), 15)
    return [
        (f"{page.uid}: {panel.title}: {target.expression}", window.fill(target.expression))
        for page in pages.values()
        for panel in page.panels
        for target in panel.targets
    ]


def test_no_panel_is_empty_and_no_query_fails(endpoints: Endpoints, pages: dict[str, Dashboard]) -> None:
    asked = queries(pages)
    assert len(asked) > 120

    def empty() -> list[str]:
        use(endpoints)
        # A query that is wrong raises: waiting would not help it.
        return [name for name, query in asked if not _numbers(endpoints.prometheus("query", query=query)["result"])]

    wait_for_none(empty, "a panel without data", timeout_seconds=MEASURED_WITHIN_SECONDS)


def test_every_metric_of_a_panel_is_there(endpoints: Endpoints, pages: dict[str, Dashboard]) -> None:
    """Also where a zero would stand in for it."""

    def missing() -> list[str]:
        there = set(endpoints.prometheus("label/__name__/values"))
        return [
            f"{metric} in {name}"
            for name, query in queries(pages)
            for metric in metrics_read(query)
            if metric not in there and not AFTER_AN_EVENT.fullmatch(metric)
        ]

    wait_for_none(missing, "a metric that no panel can find", timeout_seconds=MEASURED_WITHIN_SECONDS)


def test_a_deployment_is_marked_with_digest_and_author(stack: Instance, endpoints: Endpoints) -> None:
    listed = stack.pidea("rollback", "--list", "--json")
    assert listed.code == 0, listed.text
    last = json.loads(listed.output)[-1]
    query = 'last_over_time(pidea_event_timestamp_seconds{kind="deployment"}[1d])'
    marks = wait_until(
        lambda: endpoints.prometheus("query", query=query)["result"], "the mark is there", timeout_seconds=60
    )
    assert (last["digest"], last["author"]) in {(one["metric"]["digest"], one["metric"]["author"]) for one in marks}
    assert all(time.time() - 3600 * 6 < float(one["value"][1]) <= time.time() for one in marks)


def test_what_is_told_is_marked_and_needs_the_password(endpoints: Endpoints) -> None:
    url = f"{endpoints.operators}/dashboards/api/events"
    event = {"kind": "chaos", "title": "a fault of the tests"}
    for login in (None, (endpoints.login[0], "wrong")):
        assert requests.post(url, json=event, auth=login, timeout=TIMEOUT_SECONDS).status_code == 401
    wrong = requests.post(url, json={**event, "kind": "x"}, auth=endpoints.login, timeout=TIMEOUT_SECONDS)
    assert (wrong.status_code, wrong.text.startswith("kind: ")) == (400, True), wrong.text
    assert requests.post(url, json=event, auth=endpoints.login, timeout=TIMEOUT_SECONDS).status_code == 204
    query = f'last_over_time(pidea_event_timestamp_seconds{{title="{event["title"]}"}}[1h])'
    wait_until(lambda: endpoints.prometheus("query", query=query)["result"], "it is a metric", timeout_seconds=60)


def _numbers(result: list[dict[str, Any]]) -> list[float]:
    return [number for one in result if (number := float(one["value"][1])) == number]
