"""What only a cluster can lose is lost, told, and over again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.alerts import rounds
from ops.alerts.fault import Kind
from tests.stack import commands
from tests.stack.prod import Prod

pytestmark = pytest.mark.pages
PROOF_SECONDS = 2000.0


def test_what_only_a_cluster_can_lose_is_told_and_is_over(prod: Prod, tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    command = prod.command("alerts")
    done = commands.run([*command[:2], "prove", *command[2:], "--json", str(file)], timeout_seconds=PROOF_SECONDS)
    assert done.code == 0, done.text
    report = json.loads(file.read_text())
    assert report["kind"] == "lab"
    told = {one["alert"] for one in report["alerts"] if one["page_seconds"] is not None}
    assert told == {alert for fault in rounds.faults(Kind.LAB) for alert in fault.alerts}
