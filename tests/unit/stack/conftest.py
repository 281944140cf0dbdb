"""A small Pulumi project, named and kept as ours is, in a temporary folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from textwrap import dedent

import pytest

from ops.stack import backend, environment
from ops.stack.events import EventLog
from ops.stack.process import Result
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack
from ops.toolchain import Toolchain

CONFIG = """\
# A comment that must survive.
config:
  pidea:size: 3
  pidea:parts: {one: 1, two: [1, 2]}
"""
PROGRAM = """
    import pathlib
    import pulumi

    pathlib.Path("ran").touch()
    pulumi.export("size", pulumi.Config().require("size"))
    pulumi.export("password", pulumi.Output.secret("hush"))
"""


@dataclasses.dataclass(frozen=True)
class Project:
    """A stack `staging` of that project, with a state of its own."""

    stack: Stack
    tools: Toolchain

    @property
    def pulumi(self) -> Pulumi:
        """A new one: it reads the environment when it is made."""
        return Pulumi(self.stack, self.tools, backend.choose(self.stack, {}))

    def program(self, text: str) -> None:
        """Replaces the program."""
        (self.stack.root / "__main__.py").write_text(dedent(text))

    def up(self, log: EventLog | None = None, *options: str) -> Result:
        """`pulumi up`, on a stack that is made where it is missing."""
        pulumi = self.pulumi
        state = pulumi.state() or pulumi.init()
        return pulumi.stream("up", options, log or EventLog(), state.salt)

    def is_up(self) -> None:
        """Brings it up, for tests of what comes after."""
        result = self.up()
        assert result.code == 0, result.output + result.errors

    def has_run(self) -> bool:
        """Whether the program ran since this was last asked."""
        marker = self.stack.root / "ran"
        ran = marker.exists()
        marker.unlink(missing_ok=True)
        return ran


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack whose repository and local folder are temporary."""
    root = tmp_path / "repo"
    root.mkdir()
    (root / "Pulumi.yaml").write_text("name: pidea\nruntime: python\n")
    (root / "Pulumi.staging.yaml").write_text(CONFIG)
    return Stack(environment="staging", root=root, local=tmp_path / "local")


@pytest.fixture
def project(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project, free of what this shell says about Pulumi."""
    for name in (backend.BACKEND_URL, backend.PASSPHRASE, backend.PASSPHRASE_FILE, environment.CONFIG_FILE):
        monkeypatch.delenv(name, raising=False)
    made = Project(stack, environment.tools())
    made.program(PROGRAM)
    return made
