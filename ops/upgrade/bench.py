"""A container to work on a stack's volume in while its service stands still: no network, secret or capability."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Protocol

from infra.names import physical
from infra.plan.shared import user
from ops.errors import DeployError
from ops.stack import swarm
from ops.stack.volumes import Volume

_SECONDS = 6 * 3600
_LABEL = "dev.pidea.upgrade"


class Run(Protocol):
    """Runs a bash script in the container, which ends at its first failure; gives its output. Raises DeployError."""

    def __call__(self, script: str, *arguments: str) -> str: ...


@contextlib.contextmanager
def bench(volume: Volume, role: str, image: str, *, memory_bytes: int) -> Iterator[Run]:
    """The container of that role, from `image`, with the volume as `/data`; gone with the block, also after Ctrl-C.

    One that a killed run has left is removed first: two servers on the same files would destroy them.
    """
    name = physical(volume.instance, f"upgrade-{role}")
    environment = {**os.environ, **volume.engine.environment}

    def docker(*arguments: str, seconds: float = 120.0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def run(script: str, *arguments: str) -> str:
        command = ["bash", "-euo", "pipefail", "-c", script, "bash", *arguments]
        done = docker("exec", "--interactive", name, *command, seconds=_SECONDS)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:] or [f"exit code {done.returncode}"]
            raise DeployError(f"Work on the volume {physical(volume.instance, volume.name)} failed: {' '.join(said)}")
        return done.stdout

    docker("rm", "--force", name)
    made = docker(
        *("run", "--detach", f"--name={name}", "--network=none", "--read-only", "--cap-drop=ALL", "--init"),
        *(f"--label={swarm.INSTANCE_LABEL}={volume.instance}", f"--label={_LABEL}={role}"),
        *("--security-opt=no-new-privileges", "--pids-limit=256", f"--memory={memory_bytes}"),
        *(f"--memory-swap={memory_bytes}", f"--user={user(volume.uid)}", "--entrypoint="),
        *("--tmpfs=/tmp:size=64m,mode=777", f"--volume={physical(volume.instance, volume.name)}:/data:nocopy"),
        *(image, "sleep", "infinity"),
    )
    if made.returncode:
        raise DeployError(f"No container could be started to work in: {made.stderr.strip()}")
    try:
        yield run
    finally:
        docker("rm", "--force", name)
