"""The CLI's commands around a program: about, install, plugins."""

import json
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.toolchain.conftest import VIRTUALENV, Project

pytestmark = pytest.mark.toolchain


def test_about(project: Project) -> None:
    project.write("program/__main__.py", "")
    # Progress and warnings may stand before the document.
    shown = project.run("about", "--json", "--transitive")
    about = json.loads(shown[shown.index("{") :])
    assert about["runtime"]["language"] == "python"
    assert about["runtime"]["executable"] == str(VIRTUALENV / "bin/python")
    assert about["runtime"]["version"] == ".".join(map(str, sys.version_info[:3]))
    dependencies = {d["name"]: d["version"] for d in about["dependencies"]}
    assert dependencies["pulumi-docker"] == version("pulumi-docker")
    assert dependencies["pulumi"] == version("pulumi")


def test_about_lists_only_what_nothing_else_needs(project: Project) -> None:
    project.write("program/__main__.py", "")
    shown = project.run("about", "--json")
    names = {d["name"] for d in json.loads(shown[shown.index("{") :])["dependencies"]}
    assert "pulumi-docker" in names
    assert "pulumi" not in names


def test_install_makes_the_virtual_environment(project: Project) -> None:
    wheel(project.folder / "tiny-1.0-py3-none-any.whl")
    project.write("requirements.txt", "./tiny-1.0-py3-none-any.whl\n")
    project.write(
        "Pulumi.yaml",
        "name: example\nmain: program/\nruntime: {name: python, options: {virtualenv: made-here}}\n",
    )
    project.write("program/__main__.py", "")
    project.run("install")
    assert list((project.folder / "made-here").glob("lib/python*/site-packages/tiny.py"))


def test_install_of_the_impossible_fails(project: Project) -> None:
    project.write("requirements.txt", "./nowhere-1.0-py3-none-any.whl\n")
    project.write(
        "Pulumi.yaml",
        "name: example\nmain: program/\nruntime: {name: python, options: {virtualenv: made-here}}\n",
    )
    project.write("program/__main__.py", "")
    assert "failed with exit code" in project.run("install", fails=True)


def wheel(path: Path) -> None:
    """Write the smallest package that an installer accepts."""
    info = "tiny-1.0.dist-info"
    files = {
        "tiny.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, content)
