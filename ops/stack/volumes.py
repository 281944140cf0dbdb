"""Work on a volume of a stack, by a container of its own that sees nothing else: no network, secret or capability."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Sequence
from typing import IO

from infra.names import physical
from infra.plan.shared import user
from ops.errors import DeployError
from ops.host.endpoint import Endpoint

_SECONDS = 7200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Volume:
    """The volume `name` (logical) of `instance` on `engine`; `uid` owns what is in it, `image` has the tools."""

    engine: Endpoint
    instance: str
    name: str
    uid: int
    image: str

    def run(self, *command: str, stdin: IO[bytes] | None = None) -> str:
        """The output of a command that sees the volume as `/data`. Raises DeployError with its words."""
        done = subprocess.run(
            [*self._docker(stdin is not None), *command],
            env={**os.environ, **self.engine.environment},
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise DeployError(f"Work on the volume {physical(self.instance, self.name)} failed: {said[0]}")
        return done.stdout.decode()

    def shell(self, script: str, stdin: IO[bytes] | None = None) -> str:
        """The same for a script, which ends at its first failure."""
        return self.run("bash", "-euc", script, stdin=stdin)

    def _docker(self, is_interactive: bool) -> Sequence[str]:
        return [
            *("docker", "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--memory=256m"),
            *("--security-opt=no-new-privileges", "--pids-limit=64", f"--user={user(self.uid)}", "--entrypoint="),
            *(["--interactive"] if is_interactive else []),
            f"--volume={physical(self.instance, self.name)}:/data:nocopy",
            self.image,
        ]
