"""The language host runs policy packs beside a program."""

import json
import os
import shutil
from pathlib import Path

import pytest

from ops.paths import REPO
from ops.policy.review import review
from ops.stack.reference import resolve
from policies.model import Status
from tests.toolchain.conftest import VIRTUALENV, Project

pytestmark = pytest.mark.toolchain

# One of each theme.
BROKEN = (
    *("has-health-check", "no-engine-socket", "no-secrets-in-plain-sight", "secrets-mounted-strictly"),
    *("only-edge-publishes", "networks-encrypted", "images-pinned", "limits-set", "reserves-memory"),
    *("volumes-protected", "no-data-loss"),
)


@pytest.fixture
def pack(project: Project) -> str:
    """A pack whose one rule judges the names of dynamic resources; its `level` is a file's content."""
    project.write(
        "pack/PulumiPolicy.yaml",
        f"runtime: {{name: python, options: {{virtualenv: {VIRTUALENV}}}}}\n",
    )
    project.write(
        "pack/__main__.py",
        """
        from pathlib import Path
        from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

        def judge(args, report_violation):
            if args.name == "forbidden":
                report_violation("this name is forbidden")

        level = EnforcementLevel(Path(__file__).with_name("level").read_text())
        PolicyPack("example", [ResourceValidationPolicy("names", "judges names", judge, level)])
        """,
    )
    project.write(
        "program/__main__.py",
        """
        import pulumi
        pulumi.ComponentResource("example:index:Part", pulumi.Config().require("name"))
        """,
    )
    return str(project.folder / "pack")


def test_mandatory_violation_fails_the_preview(project: Project, pack: str) -> None:
    project.write("pack/level", "mandatory")
    project.run("config", "set", "name", "forbidden")
    shown = project.run("preview", "--policy-pack", pack, fails=True)
    assert "this name is forbidden" in shown


def test_advisory_violation_is_shown(project: Project, pack: str) -> None:
    project.write("pack/level", "advisory")
    project.run("config", "set", "name", "forbidden")
    assert "this name is forbidden" in project.run("preview", "--policy-pack", pack)


def test_clean_program_passes(project: Project, pack: str) -> None:
    project.write("pack/level", "mandatory")
    project.run("config", "set", "name", "allowed")
    assert "forbidden" not in project.run("preview", "--policy-pack", pack)


def test_broken_pack_fails_the_preview(project: Project, pack: str) -> None:
    project.run("config", "set", "name", "allowed")
    shown = project.run("preview", "--policy-pack", pack, fails=True)
    assert "FileNotFoundError" in shown


def test_the_platforms_own_pack_judges_a_real_preview(project: Project) -> None:
    """One stack that breaks rules of every theme; what is not known yet is said, and hides nothing else."""
    project.write(
        "program/__main__.py",
        """
        import base64
        import pulumi
        import pulumi_docker as docker

        network = docker.Network("network-data-1", name="data", driver="overlay")
        docker.Volume("volume-data", name="data")
        docker.ServiceConfig("config-x", name="x", data=base64.b64encode(b"token: sesame-open").decode())
        docker.Service(
            "service-bad",
            name="bad",
            endpoint_spec={"ports": [{"target_port": 80, "published_port": 8080, "publish_mode": "ingress"}]},
            task_spec={
                "container_spec": {
                    "image": "nginx:latest",
                    "env": {"DATABASE_PASSWORD": "correct-horse-battery"},
                    "mounts": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/docker.sock"}],
                    "secrets": [{"secret_id": network.id, "secret_name": "s", "file_name": "s", "file_mode": 292}],
                },
                "networks_advanceds": [{"id": network.id}],
            },
        )
        """,
    )
    before = project.write("before.json", '[{"type": "docker:index/volume:Volume", "name": "gone", "urn": "u"}]')
    before.write_text(before.read_text().replace('"urn": "u"', '"urn": "u", "protect": true, "props": {}'))
    os.environ["PIDEA_POLICY_BEFORE"] = str(before)
    try:
        shown = project.run("preview", "--policy-pack", str(REPO / "policies"), fails=True)
    finally:
        del os.environ["PIDEA_POLICY_BEFORE"]
    missing = [rule for rule in BROKEN if rule not in shown]
    assert missing == []
    assert "correct-horse-battery" not in shown.split("Policies:")[-1]
    assert "cannot be judged until deployed: taskSpec.networksAdvanceds[0].id is not known yet" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_a_committed_stack_passes_a_real_preview(name: str, tmp_path: Path) -> None:
    """From an empty state, so that as little is known as can be."""
    stack = resolve(name, "judged", local=tmp_path)
    stack.folder.mkdir(parents=True)
    shutil.copy(stack.environment_file, stack.config_file)
    found = review(stack)
    assert [f"{item.rule}: {item.resource} {item.message}" for item in found.of(Status.VIOLATION)] == []
    assert (found.refused, found.source) == (False, "an empty state")
    assert found.of(Status.WAIVED) == [], "the committed stacks need no exceptions"
    unknown = {item.rule for item in found.of(Status.UNKNOWN)}
    assert "images-pinned" in unknown, "images are built when they are deployed"
    assert found.counts["create"] > 50
    exported = tmp_path / "exported.json"
    urn = f"urn:pulumi:{name}::pidea::docker:index/volume:Volume::volume-uploads"
    lost = {"urn": urn, "type": "docker:index/volume:Volume", "protect": True, "inputs": {"name": "uploads"}}
    exported.write_text(json.dumps({"deployment": {"resources": [lost]}}))
    (loss,) = review(stack, exported).of(Status.VIOLATION)
    assert (loss.rule, loss.resource) == ("no-data-loss", "volume-uploads")
