"""What `--policy-pack-config` changes in a real run of the pack (levels, figures, approvals, repairs), and refuses."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ops.paths import REPO
from tests.toolchain.conftest import Project

pytestmark = pytest.mark.toolchain

PROGRAM = """
import pulumi
import pulumi_docker as docker

OWNED = {"file_uid": "10001"}
docker.Service(
    "service-x",
    name="x",
    task_spec={
        "container_spec": {
            "image": "sha256:" + "a" * 64,
            "user": "10001:10001",
            "env": {"GREETING": pulumi.Output.secret("correct horse battery")},
            "secrets": [{"secret_id": "1", "secret_name": "s", "file_name": "s", "file_mode": 292, **OWNED}],
        },
        "log_driver": {"name": "json-file", "options": {"max-size": "30m", "max-file": "3"}},
    },
)
"""
TOO_MUCH = "service-x keeps 90 MiB of logs for each task"
REPAIRS = ("drops-capabilities", "read-only-root", "secrets-mounted-strictly")


@pytest.fixture
def judged(project: Project) -> Project:
    """A service that keeps 90 MiB of logs, keeps capabilities, writes to its root and opens its secret to everybody."""
    project.write("program/__main__.py", PROGRAM)
    return project


def preview(project: Project, config: Any, *options: str, fails: bool = False) -> str:
    """The output of a preview by the pack with that configuration; a text is written as it is."""
    path = project.folder / "pack.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    pack = ("--policy-pack", str(REPO / "policies"), "--policy-pack-config", str(path))
    shown = project.run("preview", *pack, *options, fails=fails)
    assert "Traceback" not in shown
    return shown


def test_a_level_and_a_figure_are_overridden(judged: Project) -> None:
    hard = {"enforcementLevel": "mandatory", "max_mib": 50}
    shown = preview(judged, {"all": "disabled", "logs-bounded": hard}, fails=True)
    assert TOO_MUCH in shown
    assert "[mandatory]" in shown
    shown = preview(judged, {"all": "disabled", "logs-bounded": {**hard, "enforcementLevel": "advisory"}})
    assert TOO_MUCH in shown
    assert "[advisory]" in shown
    shown = preview(judged, {"all": "disabled", "logs-bounded": {**hard, "max_mib": 90}})
    assert "logs-bounded" not in shown


def test_what_is_not_overridden_stays_as_the_environments_table_says(judged: Project) -> None:
    shown = preview(judged, {"logs-bounded": {"max_mib": 50}, "read-only-root": "disabled"}, fails=True)
    assert TOO_MUCH in shown
    assert "[mandatory]" in shown, "prod's, where nobody says which environment it is"
    assert "drops-capabilities" in shown
    assert "read-only-root" not in shown


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"logs-bounded": {"max_mib": "many"}}, "logs-bounded: max_mib: Invalid type. Expected: number, given: string"),
        ({"logs-bounded": {"max_mib": -1}}, "logs-bounded: max_mib: Must be greater than or equal to 0"),
        ({"logs-bounded": "loud"}, '"loud" is not a valid enforcement level'),
        ({"no-data-loss": {"approvals": [{"resource": "x"}]}}, "no-data-loss: approvals.0: approved_by is required"),
        ({"logs-boundd": "disabled"}, "logs-boundd: there is no such rule (did you mean logs-bounded?)"),
        ({"logs-bounded": {"max_mb": 5}}, "logs-bounded.max_mb: the rule has no such parameter; it has max_mib"),
        ("{", "unexpected end of JSON input"),
        ("[]", "cannot unmarshal array"),
    ],
)
def test_a_configuration_that_nobody_understands_ends_the_run(judged: Project, config: Any, expected: str) -> None:
    shown = preview(judged, config, fails=True)
    assert expected in shown
    assert "service-x create" not in shown, "before anything is judged"


@pytest.mark.parametrize(("until", "refused"), [("2999-12-31", False), ("2020-01-31", True)])
def test_a_loss_of_data_is_approved_until_a_day(judged: Project, until: str, refused: bool, tmp_path: Path) -> None:
    gone = {"type": "docker:index/volume:Volume", "name": "uploads", "urn": "u", "protect": True, "props": {}}
    before = tmp_path / "before.json"
    before.write_text(json.dumps([gone]))
    approval = {"resource": "uploads", "approved_by": "platform", "until": until}
    os.environ["PIDEA_POLICY_BEFORE"] = str(before)
    try:
        config = {"all": "disabled", "no-data-loss": {"enforcementLevel": "mandatory", "approvals": [approval]}}
        shown = preview(judged, config, fails=refused)
    finally:
        del os.environ["PIDEA_POLICY_BEFORE"]
    assert ("uploads would be removed with what it holds; platform approved it until 2020-01-31" in shown) == refused


def planned(shown: str) -> dict[str, Any]:
    """The service that a preview in JSON would make."""
    steps = json.loads(shown[shown.index("{\n") :])["steps"]
    (service,) = [step["newState"] for step in steps if step["urn"].endswith("::service-x")]
    container: dict[str, Any] = service["inputs"]["taskSpec"]["containerSpec"]
    return container


def test_what_is_safe_is_repaired_where_somebody_asks_for_it(judged: Project) -> None:
    asked = {"all": "disabled", **dict.fromkeys(REPAIRS, "remediate")}
    shown = preview(judged, asked)
    for rule in REPAIRS:
        assert f"[remediate]  {rule}  (1 resource)" in shown
    container = planned(preview(judged, asked, "--json"))
    assert container["capDrops"] == ["ALL"]
    assert container["readOnly"] is True
    assert [secret["fileMode"] for secret in container["secrets"]] == [0o400]
    assert container["image"] == "sha256:" + "a" * 64, "the rest is as it was"
    assert "correct horse battery" not in json.dumps(container), "what is secret stays so"
    assert "GREETING" in json.dumps(container) or container["env"] == "[secret]"


def test_nobody_repairs_what_nobody_has_asked_for(judged: Project) -> None:
    off = dict.fromkeys(REPAIRS, "advisory")
    container = planned(preview(judged, {"all": "disabled", **off}, "--json"))
    assert "capDrops" not in container
    assert not container.get("readOnly")
    assert [secret["fileMode"] for secret in container["secrets"]] == [0o444]
    shown = preview(judged, {"all": "disabled", **dict.fromkeys(REPAIRS, "mandatory")}, fails=True)
    for rule in REPAIRS:
        assert rule in shown
