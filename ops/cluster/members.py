"""A cluster's members: which node and container each runs in, and commands run inside of it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable, Sequence

import docker
import requests

from infra.names import physical
from ops.errors import OpsError
from ops.host.endpoint import Endpoint

_API_SECONDS = 10.0
_EXEC_SECONDS = 15.0


class MemberError(OpsError):
    """Raised when a member does not run, its node does not answer, or a command in it failed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a member's task is: the node's name, and its container there."""

    node: str
    container_id: str


@dataclasses.dataclass(frozen=True)
class Members:
    """The members of the stack `instance`.

    `manager` is the engine that knows the swarm; `engine_of` gives the engine of a node by the node's name.
    """

    instance: str
    manager: Endpoint
    engine_of: Callable[[str], Endpoint]

    def place(self, member: str) -> Place:
        """Where `member` (logical name: `redis-1`) runs just now. Raises MemberError where it does not."""
        service = physical(self.instance, member)
        try:
            api = self.manager.client(timeout_seconds=_API_SECONDS)
            try:
                tasks = api.tasks(filters={"service": service, "desired-state": "running"})  # type: ignore[no-untyped-call]
                running = [task for task in tasks if task["Status"]["State"] == "running"]
                if not running:
                    raise MemberError(f"{member} does not run; see `./pidea status` for why.")
                newest = max(running, key=lambda task: str(task["CreatedAt"]))
                node = api.inspect_node(newest["NodeID"])
            finally:
                api.close()
        except docker.errors.NotFound as error:
            raise MemberError(f"There is no service {service}; bring the stack up first.") from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise MemberError(f"The swarm's manager does not answer: {error}") from error
        return Place(
            node=node["Description"]["Hostname"], container_id=newest["Status"]["ContainerStatus"]["ContainerID"]
        )

    def run(self, member: str, command: Sequence[str], stdin: str = "") -> str:
        """The output of `command` in the member's container. Raises MemberError, which has the command's own words.

        What is secret comes through `stdin` or from a file inside of the container: the command line can be seen.
        """
        place = self.place(member)
        endpoint = self.engine_of(place.node)
        try:
            done = subprocess.run(
                ["docker", "exec", "--interactive", place.container_id, *command],
                env={**os.environ, **endpoint.environment},
                input=stdin,
                capture_output=True,
                text=True,
                timeout=_EXEC_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MemberError(f"{member} on {place.node} did not answer within {_EXEC_SECONDS:.0f} s.") from error
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise MemberError(f"{member} on {place.node}: {said[0]}")
        return done.stdout
