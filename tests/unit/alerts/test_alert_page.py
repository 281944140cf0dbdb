"""docs/alerts.md: the column and the section about what was made to fire, and what is kept for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.alerts import page, rules
from ops.alerts.proof import Proof, as_json, is_promised
from ops.alerts.unproven import UNPROVEN

TABLE = (
    "# Alerts\n\n"
    "| alert | severity | about | fires in test | silent in test | resolves in test | runbook |\n"
    "|---|---|---|---|---|---|---|\n"
    "| PideaAppAbsent | critical | app | yes | yes | yes | [PideaAppAbsent](runbooks/PideaAppAbsent.md) |\n"
    "| PideaBackupLate | critical | backup | yes | yes | yes | [PideaBackupLate](runbooks/PideaBackupLate.md) |\n"
    "| PideaRedisDown | warning | redis | yes | yes | yes | [PideaRedisDown](runbooks/PideaRedisDown.md) |\n"
)


def report(**figures: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"pending_seconds": 12.0, "firing_seconds": 60.2, "page_seconds": 71.4, **figures}
    proof = Proof(
        alert="PideaAppAbsent",
        severity="critical",
        fault="app-stopped",
        summary="No replica runs",
        **{"resolved_seconds": 30.0, **told},
    )
    return {"kind": "one node", "begin": "2026-11-27T12:00:00+00:00", "alerts": [as_json(proof)], "held": proof.held}


def test_what_held_is_kept_and_what_did_not_leaves_it(tmp_path: Path) -> None:
    file = tmp_path / "live.json"
    page.add(report(), file)
    for worse in ({"page_seconds": None}, {"resolved_seconds": None}, {"problem": "could not be caused"}):
        found = page.add(report(**worse), file)
        assert found["alerts"]["PideaAppAbsent"]["page_seconds"] == 71.4
    assert page.add(report(page_seconds=65.0), file)["alerts"]["PideaAppAbsent"]["page_seconds"] == 65.0
    assert json.loads(file.read_text())["alerts"]["PideaAppAbsent"]["on"] == "2026-11-27"


def test_a_time_without_a_page_is_kept_where_there_was_none(tmp_path: Path) -> None:
    file = tmp_path / "live.json"
    about = {"kind": "one node", "begin": "2026-11-27T12:00:00+00:00"}
    assert page.add_calm({**about, "held": False, "minutes": 40.0}, file)["calm"] == {}
    assert page.add_calm({**about, "held": True, "minutes": 30.0}, file)["calm"]["minutes"] == 30.0


def test_the_table_gets_a_column_and_the_page_a_section(tmp_path: Path) -> None:
    text = page.joined(TABLE, page.add(report(), tmp_path / "live.json"))
    assert "| resolves in test | fired live | runbook |" in text
    assert "| yes | told after 71 s | [PideaAppAbsent](runbooks/PideaAppAbsent.md) |" in text
    assert "| yes | no, see below | [PideaBackupLate]" in text
    assert "| yes | not yet | [PideaRedisDown]" in text
    assert "| PideaAppAbsent | critical | No replica runs | one node | 12 s | 60 s | 71 s | 30 s |" in text
    assert f"| PideaBackupLate | {UNPROVEN['PideaBackupLate']} |" in text
    assert "within 90 s: 1 of 1 were" in text


def test_writing_again_changes_nothing_and_writing_anew_replaces(tmp_path: Path) -> None:
    file = tmp_path / "live.json"
    once = page.joined(TABLE, page.add(report(), file))
    assert page.joined(once, page.known(file)) == once
    again = page.joined(once, page.add(report(page_seconds=99.0), file))
    assert again.count("told after") == 1
    assert "told after 99 s" in again
    assert "within 90 s: 0 of 1 were" in again
    path = tmp_path / "alerts.md"
    path.write_text(once)
    page.write(page.known(file), path)
    assert path.read_text() == again


def test_paging_alerts_that_wait_for_less_than_a_minute_are_promised_in_time() -> None:
    promised = {name for name, alert in rules.alerts().items() if is_promised(alert)}
    assert {"PideaAppAbsent", "PideaEdgeAbsent", "PideaPostgresDown", "PideaNodeDown", "PideaSloBurnsFast"} <= promised
    # A warning; and what is not about something sudden.
    assert not {"PideaRedisDown", "PideaErrorRateHigh", "PideaNodeDiskFilling"} & promised
    assert len(promised) >= 10


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"firing_seconds": None, "page_seconds": None}, "did not fire"),
        ({"page_seconds": None}, "was not told"),
        ({"resolved_seconds": None}, "was not over"),
        ({"problem": "could not be caused"}, "could not be caused"),
    ],
)
def test_why_one_did_not_hold_is_said(figures: dict[str, Any], reason: str) -> None:
    found = Proof(**report(**figures)["alerts"][0])
    assert (found.held, found.reason()) == (False, reason)
    assert Proof(**report()["alerts"][0]).held
    assert Proof(**{**report(resolved_seconds=None)["alerts"][0], "is_lasting": True}).held
