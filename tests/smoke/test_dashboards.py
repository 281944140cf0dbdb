"""Every panel has something to show on a stack that is used, and what happened is marked."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import requests

from ops.dashboards.definitions import Dashboard
from tests.stack import watching
from tests.stack.endpoints import TIMEOUT_SECONDS, Endpoints
from tests.stack.instance import Instance
from tests.stack.usage import use
from tests.stack.waiting import wait_for_none, wait_until
from tests.stack.watching import MEASURED_WITHIN_SECONDS


@pytest.fixture
def endpoints(stack: Instance) -> Endpoints:
    """The ways in."""
    return Endpoints(stack.outputs())


@pytest.fixture
def pages(stack: Instance, tmp_path: Path) -> dict[str, Dashboard]:
    """The dashboards that the stack was deployed with."""
    return watching.dashboards(stack, tmp_path)


def test_no_panel_is_empty_and_no_query_fails(endpoints: Endpoints, pages: dict[str, Dashboard]) -> None:
    assert len(watching.queries(pages)) > 120

    def empty() -> list[str]:
        use(endpoints)
        return watching.panels_without_data(endpoints, pages)

    wait_for_none(empty, "a panel without data", timeout_seconds=MEASURED_WITHIN_SECONDS)


def test_every_metric_of_a_panel_is_there(endpoints: Endpoints, pages: dict[str, Dashboard]) -> None:
    """Also where a zero would stand in for it."""
    wait_for_none(
        lambda: watching.metrics_that_panels_miss(endpoints, pages),
        "a metric that no panel can find",
        timeout_seconds=MEASURED_WITHIN_SECONDS,
    )


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
