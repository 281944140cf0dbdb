"""The chaos suite's short form: one of each kind of failure, while the stack is used; nothing acknowledged is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.chaos import clients, scenarios
from ops.chaos import target as targets
from ops.lab import status
from ops.stack import swarm
from tests.stack import commands
from tests.stack.prod import Prod

pytestmark = pytest.mark.chaos

SUITE_SECONDS = 1500.0
# On a machine that does other work besides, times say little; what must never happen says all.
NEVER = ("lost_messages", "duplicate_messages", "lost_postgres_writes", "lost_redis_writes", "two_writers")


def chaos(prod: Prod, *arguments: str) -> commands.Finished:
    command = ["./pidea", "chaos", *arguments, "--lab", prod.lab.name]
    return commands.run(command, timeout_seconds=SUITE_SECONDS)


@pytest.fixture(scope="module")
def _reports() -> dict[str, Any]:
    return {}


@pytest.fixture
def report(prod: Prod, _reports: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of the short suite, which is run once."""
    if not _reports:
        folder: Path = tmp_path_factory.mktemp("chaos")
        files = {name: str(folder / f"chaos.{name}") for name in ("json", "junit", "html")}
        done = chaos(prod, "suite", "--short", *(part for name, path in files.items() for part in (f"--{name}", path)))
        assert done.code in {0, 1}, done.text
        _reports.update(json.loads((folder / "chaos.json").read_text()), code=done.code, said=done.text)
        assert all((folder / f"chaos.{name}").stat().st_size > 1000 for name in ("junit", "html"))
    return _reports


def test_every_scenario_was_done_and_the_exit_code_is_the_verdict(report: dict[str, Any]) -> None:
    assert [run["scenario"] for run in report["runs"]] == list(scenarios.SHORT)
    assert not [reason for run in report["runs"] for reason in run["reasons"] if "could not be done" in reason]
    assert report["code"] == (0 if report["held"] else 1), report["said"]


@pytest.mark.parametrize("figure", NEVER)
def test_what_must_never_happen_did_not(report: dict[str, Any], figure: str) -> None:
    found = {run["scenario"]: run["figures"][figure] for run in report["runs"]}
    assert set(found.values()) == {0}, found


def test_the_stack_came_back_by_itself_every_time(report: dict[str, Any]) -> None:
    found = {run["scenario"]: run["figures"]["recovery_seconds"] for run in report["runs"]}
    assert all(seconds is not None for seconds in found.values()), found


def test_load_was_there_all_the_time(report: dict[str, Any]) -> None:
    for run in report["runs"]:
        assert run["figures"]["requests"] > 500
        assert run["figures"]["redis_gap_seconds"] is not None
        assert run["figures"]["postgres_gap_seconds"] is not None


def test_nothing_of_it_is_left(prod: Prod, report: dict[str, Any]) -> None:
    target = targets.of(prod.stack)
    assert clients.missing(target) == [node.slot for node in target.nodes]
    with swarm.client(where=target.manager()) as api:
        assert api.services(filters={"label": clients.LABEL}) == []  # type: ignore[no-untyped-call]
    assert [fault for node in status.of(prod.lab).nodes for fault in node.faults] == []


def test_a_second_run_at_the_same_time_is_refused(prod: Prod) -> None:
    import filelock

    with filelock.FileLock(prod.stack.folder / "chaos.lock"):
        done = chaos(prod, "run", "kill-app")
    assert done.code == 4
    assert "Another chaos run" in done.text
