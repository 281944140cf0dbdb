"""Alerts of the running stack are made to fire by causing what they are about, are told, and are over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.alerts import rules, witness
from ops.alerts.proof import PROMISED_SECONDS, is_promised
from ops.stack import swarm
from tests.stack import commands
from tests.stack.instance import Instance

pytestmark = pytest.mark.pages
PROOF_SECONDS = 3000.0


def alerts(stack: Instance, name: str, *options: str) -> commands.Finished:
    command = ["./pidea", "alerts", name, "staging", "--instance", str(stack.stack.instance), *options]
    return commands.run(command, timeout_seconds=PROOF_SECONDS)


def left_of_it(stack: Instance) -> list[str]:
    labelled = {"label": f"{witness.LABEL}={stack.prefix}"}
    with swarm.client() as api:
        services = api.services(filters=labelled)  # type: ignore[no-untyped-call]
        configs = api.configs(filters=labelled)  # type: ignore[no-untyped-call]
    return [str(one["Spec"]["Name"]) for one in (*services, *configs)]


@pytest.fixture(scope="module")
def _reports() -> dict[str, Any]:
    return {}


@pytest.fixture
def report(stack: Instance, _reports: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of all rounds, which are done once."""
    if not _reports:
        file: Path = tmp_path_factory.mktemp("alerts") / "alerts.json"
        done = alerts(stack, "prove", "--json", str(file))
        assert done.code in {0, 1}, done.text
        _reports.update(json.loads(file.read_text()), code=done.code, said=done.text)
    return _reports


def test_every_alert_was_told_and_was_over(report: dict[str, Any]) -> None:
    assert report["code"] == 0, report["said"]
    assert len(report["alerts"]) >= 20
    for found in report["alerts"]:
        assert found["page_seconds"] is not None, found
        assert found["resolved_seconds"] is not None or found["is_lasting"], found


def test_whoever_is_woken_is_woken_in_time(report: dict[str, Any]) -> None:
    known = rules.alerts()
    promised = {one["alert"]: one["page_seconds"] for one in report["alerts"] if is_promised(known[one["alert"]])}
    assert len(promised) >= 5
    assert not {name: seconds for name, seconds in promised.items() if seconds > PROMISED_SECONDS}


def test_nothing_of_it_is_left_and_the_stack_is_as_it_was(stack: Instance, report: dict[str, Any]) -> None:
    assert report["kind"] == "one node"
    assert left_of_it(stack) == []
    status = stack.pidea("status")
    assert status.code == 0, status.text


def test_nobody_is_told_of_anything_while_all_is_well(stack: Instance, report: dict[str, Any]) -> None:
    assert report["alerts"]
    done = alerts(stack, "calm", "--minutes", "10", "--json", "-")
    assert done.code == 0, done.text
    assert done.json["told"] == []
