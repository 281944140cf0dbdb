"""The containers of a stack on this machine, from outside (Docker's inspection) and from inside (testinfra)."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Mapping
from typing import Any

import testinfra

from infra.components import labels
from ops.stack import swarm
from tests.stack.instance import Instance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Container:
    """A running container; `details` is what `docker inspect` says."""

    id: str
    details: Mapping[str, Any]

    @property
    def inside(self) -> Any:
        """Testinfra's host, which runs commands in it."""
        return testinfra.get_host(f"docker://{self.id}")

    def fetch(self, port: int, path: str) -> str:
        """The answer of a server in it, headers too, to a GET over its own loopback: no image has an HTTP client."""
        request = f"GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n"
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf '{request}' >&3 && cat <&3"
        return str(self.inside.check_output("bash -c %s", script))


def of(stack: Instance, service: str) -> list[Container]:
    """The running containers of a service; at least one, else AssertionError."""
    wanted = [f"{labels.INSTANCE}={stack.prefix}", f"{labels.COMPONENT}={service}"]
    with swarm.client() as api:
        found = [
            Container(id=item["Id"], details=api.inspect_container(item["Id"]))
            for item in api.containers(filters={"label": wanted, "status": "running"})
        ]
    assert found, f"no container of {service} runs"
    return found


def one(stack: Instance, service: str) -> Container:
    """The container of a service that has one."""
    found = of(stack, service)
    assert len(found) == 1, f"{service} has {len(found)} containers"
    return found[0]


def execute(container: Container, command: list[str], **variables: str) -> str:
    """Runs a command with variables that show in no process list, not even for a moment; gives what it said."""
    named = [option for name in variables for option in ("--env", name)]
    ended = subprocess.run(
        ["docker", "exec", *named, container.id, *command],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
    return ended.stdout.strip()
