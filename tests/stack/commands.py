"""Runs the commands that a person would type, and stops them gently."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ops import paths

# What the shell of the person who runs the tests says about Pulumi must not lead a test to that person's stacks.
_THEIRS = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_ACCESS_TOKEN")
_TO_STOP_SECONDS = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """A command's end. `output` is its stdout, `errors` its stderr."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.output)

    @property
    def text(self) -> str:
        """Everything that it said, for a test's message."""
        return f"exit code {self.code}\n{self.output}\n{self.errors}"


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    """Starts `command` in the repository's folder, out of reach of the terminal's Ctrl-C."""
    return subprocess.Popen(
        command,
        cwd=paths.REPO,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def finish(process: subprocess.Popen[str], timeout_seconds: float) -> Finished:
    """Waits for the end. However the wait itself ends, the command is over afterwards and works no more on Docker."""
    try:
        output, errors = process.communicate(timeout=timeout_seconds)
    except BaseException:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=_TO_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        raise
    return Finished(code=process.returncode, output=output, errors=errors)


def run(command: Sequence[str], *, timeout_seconds: float = 600.0) -> Finished:
    """Runs `command` to its end."""
    return finish(start(command), timeout_seconds)


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a command."""
    return {name: value for name, value in environ.items() if name not in _THEIRS}
