"""The language host runs policy packs beside a program."""

import pytest

from tests.toolchain.conftest import VIRTUALENV, Project

pytestmark = pytest.mark.toolchain


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
