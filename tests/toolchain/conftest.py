"""Real Pulumi projects in temporary folders, run by the toolchain that this machine has."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ops.toolchain import Toolchain, find

# The virtual environment that runs the tests has the SDK; projects name it as their own.
VIRTUALENV = Path(sys.executable).parent.parent


@dataclass(frozen=True)
class Project:
    """A Pulumi project with a state of its own, and a stack `dev` in it."""

    folder: Path
    toolchain: Toolchain

    @property
    def env(self) -> dict[str, str]:
        """What `./pidea env` prints, and a private backend."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        search = [*map(str, self.toolchain.path_entries), os.environ.get("PATH", "")]
        return {
            **inherited,
            **self.toolchain.env,
            "PATH": os.pathsep.join(search),
            "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
            # Selected stacks are remembered in files, which do not belong into the user's cache.
            "PULUMI_STACK": "dev",
        }

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project, its common indentation taken off."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip())
        return path

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run the CLI to success, or to failure if `fails`, and return all that it printed."""
        done = subprocess.run(
            [self.toolchain.pulumi, *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout
        return done.stdout

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear text."""
        outputs: dict[str, Any] = json.loads(self.run("stack", "output", "--json", "--show-secrets"))
        return outputs


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The toolchain that is there; the tests never build one."""
    found = find()
    if found is None:
        pytest.fail("the toolchain is not there: run `./pidea setup` first")
    return found


@pytest.fixture
def project(tmp_path: Path, toolchain: Toolchain) -> Project:
    """An empty project whose program is `program/__main__.py`."""
    made = Project(tmp_path, toolchain)
    made.write(
        "Pulumi.yaml",
        f"""
        name: example
        main: program/
        runtime:
          name: python
          options:
            virtualenv: {VIRTUALENV}
        """,
    )
    (tmp_path / "state").mkdir()
    made.run("stack", "init", "dev")
    return made
