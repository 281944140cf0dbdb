"""What is caused to prove alerts: of alerts that there are, always healed, in an order in which all are told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from ops import cli, paths
from ops.alerts import delivery, rounds, rules
from ops.alerts.fault import Fault, Kind, Round
from ops.alerts.unproven import UNPROVEN
from ops.errors import OpsError, UsageError
from ops.stack import settings
from ops.stack.reference import resolve
from tests.unit.infra.conftest import read_config

PLANS = {Kind.SINGLE: settings.plan_of(resolve("staging")), Kind.LAB: settings.plan_of(resolve("prod"))}
ALL = rounds.faults()
AT_ONCE = {"redis-connections-refused", "deadlocks", "out-of-memory"}
each_fault = pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)


class Recorder:
    """A scene in which nothing is touched: what was begun and what was ended, by name."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.asked: list[str] = []
        self.target: Any = self
        self.witness: Any = self
        self.backups: Any = self
        self.instance = "pidea-test"
        self.nodes = (1, 2, 3)

    @property
    def stage(self) -> Any:
        return self._hold("stage", give=self)

    @contextlib.contextmanager
    def _hold(self, what: str, give: Any = None) -> Iterator[Any]:
        self.begun.append(what)
        try:
            yield give
        finally:
            self.ended.append(what)

    def stopped(self, *services: str) -> Any:
        return self._hold(f"stopped {services}")

    def paused(self, *services: str, slot: int | None = None) -> Any:
        return self._hold(f"paused {services} {slot}")

    def hold(self, what: str, *arguments: str) -> Any:
        return self._hold(f"hold {what}")

    def again_and_again(self, act: Any, pause_seconds: float) -> Any:
        act()
        return self._hold("again and again")

    def run(self, *command: Any, **_: Any) -> str:
        self.asked.append(str(command))
        return ""

    def node(self, slot: int) -> int:
        return slot

    stroke = ask = sql = replace = stall = kill_node = run
    members: Any = property(lambda self: _Members(self))

    def redis_replica(self) -> str:
        return "redis-2"

    def postgres_primary(self) -> str:
        return "postgres-1"

    def effect(self) -> None:
        pass


class _Members:
    """Both the names of the members (called) and commands in them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __call__(self, service: str) -> dict[str, str]:
        return {names.member(service, slot): "" for slot in (1, 2, 3)}

    def run(self, *command: Any) -> str:
        return self._recorder.run(*command)


def test_every_alert_is_caused_or_says_why_not() -> None:
    caused = {alert for fault in ALL for alert in fault.alerts}
    assert caused | set(UNPROVEN) == set(rules.alerts())
    assert not caused & set(UNPROVEN)
    assert len(caused) >= 25


def test_names_are_unique_and_no_fault_proves_nothing() -> None:
    assert len({fault.name for fault in ALL}) == len(ALL)
    assert all(fault.alerts and fault.summary and fault.lasting <= {*fault.alerts} for fault in ALL)
    for kind in Kind:
        told = [(alert, *fault.labels.items()) for fault in rounds.faults(kind) for alert in fault.alerts]
        assert len(told) == len(set(told))


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_caused_on_a_stack_is_for_its_kind_and_its_alerts_are_loaded_there(kind: Kind) -> None:
    loaded = "".join(config.content for config in PLANS[kind].configs)
    for fault in rounds.faults(kind):
        assert kind in fault.kinds
        assert all(f"alert: {alert}\n" in loaded for alert in fault.alerts), fault.name


@each_fault
def test_an_alert_is_waited_for_longer_than_it_waits_itself(fault: Fault) -> None:
    # A scrape, two evaluations, the grouping, and a machine that does other work besides.
    assert all(fault.patience_seconds >= rules.alerts()[alert].waits_seconds + 120 for alert in fault.alerts)


@pytest.mark.parametrize("kind", list(Kind))
def test_no_warning_is_kept_back_in_favour_of_what_another_fault_of_the_round_is_about(kind: Kind) -> None:
    for found in rounds.ROUNDS[kind]:
        known = [(fault, rules.alerts()[alert]) for fault in found.faults for alert in fault.alerts]
        critical = {fault.labels.get("service", alert.service) for fault, alert in known if alert.is_page}
        warnings = {fault.labels.get("service", alert.service) for fault, alert in known if not alert.is_page}
        assert not critical & warnings, found.name


@each_fault
def test_it_is_healed_however_it_ends(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    scene: Any = Recorder()
    before: list[int] = []

    def interrupted() -> None:
        with fault.act(scene):
            before.append(len(scene.asked))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(scene.begun) == sorted(scene.ended)
    # What is over at once has nothing to be healed; all else took something back.
    assert scene.begun or len(scene.asked) > before[0] or fault.name in AT_ONCE


@each_fault
def test_what_cannot_be_caused_leaves_nothing(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    scene: Any = Recorder()

    def fail(*_: Any, **__: Any) -> str:
        raise OpsError("refused")

    for name in ("stroke", "ask", "sql", "run", "kill_node"):
        setattr(scene, name, fail)
    with contextlib.suppress(OpsError), fault.act(scene):
        pass
    assert sorted(scene.begun) == sorted(scene.ended)


def test_a_part_is_chosen_by_fault_alert_or_round() -> None:
    def names_of(*only: str) -> list[str]:
        return [fault.name for found in rounds.chosen(Kind.SINGLE, only, long=False) for fault in found.faults]

    assert names_of("deadlocks") == ["deadlocks"]
    assert names_of("PideaRedisDown", "edge") == ["redis-stopped", "edge-stopped"]
    assert "long-transaction" not in names_of()
    assert names_of("long") == ["long-transaction", "wal-not-stored"]
    with pytest.raises(UsageError, match="node-killed"):
        rounds.chosen(Kind.SINGLE, ["node-killed"], long=False)


def test_long_rounds_are_done_on_request() -> None:
    everything = rounds.chosen(Kind.SINGLE, (), long=True)
    assert [found.name for found in everything if found.is_long] == ["long"]
    assert isinstance(everything[0], Round)


def test_the_witness_is_told_in_place_of_everybody_else_and_as_they_would_be() -> None:
    found = StackSettings.from_config(read_config("prod"))
    before = next(config.content for config in PLANS[Kind.LAB].configs if config.name == "alertmanager-yml")
    routed = build_plan(delivery.routed(found, "http://witness:9999/"))
    content = next(config.content for config in routed.configs if config.name == "alertmanager-yml")
    assert "operators@example.com" in before
    assert "example.com" not in content
    assert content.count('"url": "http://witness:9999/"') == 2

    head, tail = content.partition("receivers:\n")[0], content.partition("inhibit_rules:")[2]
    assert (head, tail) == (before.partition("receivers:\n")[0], before.partition("inhibit_rules:")[2])


@pytest.mark.parametrize("command", ["prove", "calm"])
def test_a_stack_that_is_no_copy_wants_its_name(command: str) -> None:
    done = CliRunner().invoke(cli.build(), ["alerts", command, "staging"])
    assert isinstance(done.exception, UsageError)
    assert "--confirm staging" in str(done.exception)
    done = CliRunner().invoke(cli.build(), ["alerts", command, "staging", "--confirm", "prod"])
    assert "nothing was touched" in str(done.exception)


def test_the_list_shows_everything() -> None:
    done = CliRunner().invoke(cli.build(), ["alerts", "list", "--json"])
    assert done.exit_code == 0
    assert all(fault.name in done.output for fault in ALL)
    assert all(alert in done.output for alert in UNPROVEN)


def test_faults_are_declared_where_they_are_looked_for() -> None:
    declared = "".join(path.read_text() for path in (Path(paths.REPO) / "ops" / "alerts" / "faults").glob("*.py"))
    assert declared.count(" = Fault(") == len(ALL)
