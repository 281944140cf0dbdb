"""`rollback`: deploys the sources of an earlier deployment again, with the commands that came with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ops.errors import DeployError
from ops.stack import history
from ops.stack.history import Deployment
from ops.stack.reference import Stack


def roll_back(stack: Stack, deployment: Deployment, options: tuple[str, ...] = ()) -> None:
    """Brings the stack to `deployment`, as that release's own `up` does. `options` are handed to it.

    What an instance's configuration was before comes back where that fails. Raises StateError, DeployError.
    """
    before = stack.config_file.read_bytes()
    folder = history.unpack(stack, deployment)
    command = [*_launcher(folder), "up", stack.environment, *options]
    if stack.instance is not None:
        command += ["--instance", stack.instance]
    # Ctrl-C reaches both; the other one ends in order and says so, this one only waits.
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, history.RESTORES: str(deployment.stands_for)}
    ) as process:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                continue
    if code == 0:
        return
    if stack.instance is not None:
        stack.config_file.write_bytes(before)
    raise DeployError(
        f"{stack.name} could not be brought back to deployment {deployment.number} (see above); "
        f"`./pidea status {stack.arguments}` says what runs, and the same command tries again."
    )


def _launcher(folder: Path) -> list[str]:
    """With the same packages this interpreter; else the release's launcher, which makes an environment of its own."""
    if (folder / ".venv").exists():
        return [sys.executable, "-m", "ops"]
    return [str(folder / "pidea")]
