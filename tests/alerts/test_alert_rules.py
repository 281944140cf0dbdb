"""Every alert fires when it should and not before, has a runbook, and reads metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.events import (
    BreakerChanged,
    BreakerState,
    DedupRefused,
    FeedbackGiven,
    ReadServed,
    RequestFinished,
    RequestShed,
    RequestStarted,
)
from app.telemetry.metrics import Metrics
from infra.plan import prometheus
from infra.plan.targets import targets
from infra.settings import StackSettings
from ops.backup import metrics as backup_metrics
from ops.backup import state
from ops.controller.metrics import Metrics as ControllerMetrics
from ops.controller.observation import Observation
from tests.alerts.mutants.running import fails
from tests.alerts.proof import proof_of
from tests.alerts.rules import REPOSITORY, RULES, Rule, alerts, case_file, load_cases, rule_of, rules
from tests.unit.infra.conftest import STACKS, read_config

HERE = Path(__file__).parent
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
SECTIONS = ("Meaning", "What users see", "First checks", "Likely causes and fixes", "When to escalate")

each_alert = pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule.name)


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


def run(promtool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [promtool, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False
    )


def assertions(alert: Rule) -> list[dict[str, Any]]:
    return [check for case in load_cases(case_file(alert))["tests"] for check in case["alert_rule_test"]]


def test_rules_are_valid(promtool: str) -> None:
    done = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yml")))
    assert done.returncode == 0, done.stdout


@each_alert
def test_alert_fires_in_time_and_is_silent_before(alert: Rule, promtool: str) -> None:
    done = run(promtool, "test", "rules", case_file(alert))
    assert done.returncode == 0, done.stdout


@each_alert
def test_cases_notice_a_wrong_alert(alert: Rule, promtool: str, tmp_path: Path) -> None:
    """An alert that never fires, and one that always does, must both fail their cases."""
    for expression in ("vector(1) > 2", "vector(1)"):
        instead = {**rule_of(alert), "expr": expression}
        assert fails(promtool, alert, instead, tmp_path), f"the cases of {alert.name} pass with {expression}"


@each_alert
def test_cases_are_about_their_alert(alert: Rule) -> None:
    checks = assertions(alert)
    assert {check["alertname"] for check in checks} == {alert.name}
    assert [check for check in checks if check["exp_alerts"]], "no case in which it fires"
    calm = [
        case
        for case in load_cases(case_file(alert))["tests"]
        if not any(c["exp_alerts"] for c in case["alert_rule_test"])
    ]
    assert calm, "no case in which it must stay silent throughout"
    assert proof_of(alert).resolves, "no case in which it is silent, then fires, then is silent again"


def test_every_file_of_cases_belongs_to_an_alert() -> None:
    assert {path.stem for path in HERE.glob("*.yml")} == {alert.name for alert in alerts()}


def test_alert_names_are_unique() -> None:
    names = [alert.name for alert in alerts()]
    assert len(names) == len(set(names))


@each_alert
def test_alert_says_whom_it_concerns_and_what_to_read(alert: Rule) -> None:
    assert re.fullmatch(r"Pidea[A-Z]\w+", alert.name)
    assert set(alert.labels) == {"severity", "service", "owner"}
    assert alert.labels["severity"] in {"warning", "critical"}
    assert set(alert.annotations) == {"summary", "runbook"}
    assert re.fullmatch(r"[^\n]{20,}[.]", alert.annotations["summary"])
    assert alert.annotations["runbook"] == f"docs/runbooks/{alert.name}.md"


@each_alert
def test_runbook_has_every_section(alert: Rule) -> None:
    text = (REPOSITORY / alert.annotations["runbook"]).read_text()
    assert text.startswith(f"# {alert.name}\n")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert tuple(headings) == SECTIONS


def test_every_runbook_belongs_to_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("Pidea*.md")} == {alert.name for alert in alerts()}


def application_metrics() -> dict[str, set[str]]:
    """The application's samples and their labels, from its own registry after one of every event."""
    metrics = Metrics("1", "r", apdex_threshold_seconds=0.1)
    metrics.watch_breaker("redis")
    for event in (
        RequestStarted(),
        RequestFinished("GET", "/x", "/x", 200, 0.1, "1.2.3.4", "c", "v", "l1", True),
        RequestShed("overload"),
        ReadServed("l3", shared=False, stale=True),
        FeedbackGiven(5),
        DedupRefused("full"),
        BreakerChanged("redis", BreakerState.OPEN),
    ):
        metrics.on_event(event)
    return {sample.name: set(sample.labels) for family in metrics.registry.collect() for sample in family.samples}


def test_the_applications_metrics_are_its_own() -> None:
    exported = application_metrics()
    used = {
        name: labels
        for rule in rules()
        for name, labels in rule.metrics.items()
        if name.startswith("pidea_") and not name.startswith(("pidea_controller_", "pidea_backup_"))
    }
    assert len(used) >= 4
    for name, labels in used.items():
        assert name in exported, f"{name} is not exported by app/telemetry/metrics.py"
        assert labels <= exported[name] | {"job", "instance"}, f"{name} has no label {labels - exported[name]}"


def test_the_controllers_metrics_are_its_own() -> None:
    metrics = ControllerMetrics("repair")
    metrics.looked(Observation(servers=(), sentinels=()), (), 0.0)
    exported = {s.name: set(s.labels) for family in metrics.registry.collect() for s in family.samples}
    found = [pair for rule in rules() for pair in rule.metrics.items() if pair[0].startswith("pidea_controller_")]
    assert len(found) >= 4
    for name, labels in found:
        assert name in exported, f"{name} is not exported by ops/controller/metrics.py"
        assert labels <= exported[name] | {"job", "instance"}, f"{name} has no label {labels - exported[name]}"


def backups_metrics(folder: Path) -> dict[str, set[str]]:
    """The backup service's samples and their labels, from its page once the jobs have run; `folder` is its memory."""
    state.record(folder, "wal", until_timestamp_seconds=1.0)
    state.record(folder, "tidy", repository_bytes=1)
    for job in ("postgres", "drill", "check"):
        state.record(folder, job, last_success_timestamp_seconds=1.0)
    page = text_string_to_metric_families(backup_metrics.text(folder, 0.0))
    return {sample.name: set(sample.labels) for family in page for sample in family.samples}


def test_the_backups_metrics_are_its_own(tmp_path: Path) -> None:
    """Every figure that an alert reads is on the service's page once the jobs have run."""
    exported = backups_metrics(tmp_path)
    found = [pair for rule in rules() for pair in rule.metrics.items() if pair[0].startswith("pidea_backup_")]
    assert len(found) >= 6
    for name, labels in found:
        assert name in exported, f"{name} is not exported by ops/backup/metrics.py"
        assert labels <= exported[name] | {"job", "instance"}, f"{name} has no label {labels - exported[name]}"


def test_every_job_that_alerts_pick_is_scraped_and_every_scraped_job_is_missed() -> None:
    each = [{target.job for target in targets(StackSettings.from_config(read_config(stack)))} for stack in STACKS]
    picked = {job for rule in rules() for job in re.findall(r'job="(\w+)"', rule.expression)}
    assert picked <= set.union(*each)
    missed = {job for alert in alerts() for job in re.findall(r'absent\(up\{job="(\w+)"', alert.expression)}
    # Prometheus cannot miss itself. What only stacks on several nodes have is counted against their settings.
    assert missed == set.intersection(*each) - {"prometheus"}


def test_what_a_stack_on_several_nodes_shall_have_is_told_to_prometheus() -> None:
    for stack in STACKS:
        settings = StackSettings.from_config(read_config(stack))
        rules = [config for config in prometheus.configs(settings) if config.name == "expected-tasks"]
        assert len(rules) == (settings.nodes > 1)
        for config in rules:
            (group,) = yaml.safe_load(config.content)["groups"]
            told = {rule["labels"]["job"]: rule["expr"] for rule in group["rules"]}
            assert told == {target.job: f"vector({target.tasks})" for target in targets(settings)}
