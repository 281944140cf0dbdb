"""The containers of a stack on all of its nodes, from outside (Docker's inspection) and from inside (testinfra)."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import docker
from testinfra.backend.base import CommandResult
from testinfra.backend.docker import DockerBackend
from testinfra.host import Host

from infra.components import labels
from ops.host.endpoint import Endpoint
from ops.stack import swarm
from tests.stack.instance import Instance

_EXEC_SECONDS = 60.0
_PROCESSES = "for f in /proc/[0-9]*/status; do cat $f 2>/dev/null; echo ---; done"


class _OnEngine(DockerBackend):  # type: ignore[misc]
    """Testinfra's own backend for containers, on an engine that need not be the shell's."""

    def __init__(self, container_id: str, engine: Endpoint) -> None:
        super().__init__(container_id)
        self._environment = {**os.environ, **engine.environment}

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        inner = self.get_command(command, *args)
        outer = ["docker", "exec", self.name, "/bin/sh", "-c", inner]
        ended = subprocess.run(outer, env=self._environment, capture_output=True, check=False, timeout=_EXEC_SECONDS)
        return self.result(ended.returncode, self.encode(inner), ended.stdout, ended.stderr)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Container:
    """A running container on `engine`; `details` is what `docker inspect` says."""

    id: str
    engine: Endpoint
    details: Mapping[str, Any]

    @functools.cached_property
    def inside(self) -> Any:
        """Testinfra's host, which runs commands in it."""
        backend = _OnEngine(self.id, self.engine)
        host = Host(backend)
        backend.set_host(host)
        return host

    @property
    def service(self) -> str:
        """The logical name of the service that it is of."""
        return str(self.details["Config"]["Labels"][labels.COMPONENT])

    def is_of(self, reference: str) -> bool:
        """Whether it was made from the very image that `reference` names: an image's id, or `NAME@sha256:…`."""
        if self.details["Image"] == reference:
            return True
        with swarm.client(where=self.engine) as api:
            image = api.inspect_image(self.details["Image"])  # type: ignore[no-untyped-call]
        digests = {digest.partition("@")[2] for digest in image.get("RepoDigests") or []}
        return reference.partition("@")[2] in digests

    @functools.cached_property
    def processes(self) -> Sequence[Mapping[str, str]]:
        """`/proc/PID/status` of each process that ran when this was first asked for."""
        found = self.inside.check_output("sh -c %s", _PROCESSES).split("---\n")
        return [dict(_pairs(status)) for status in found if "Pid:" in status]

    def fetch(self, port: int, path: str) -> str:
        """The answer of a server in it, headers too, to a GET over its own loopback: no image has an HTTP client."""
        request = f"GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n"
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf '{request}' >&3 && cat <&3"
        return str(self.inside.check_output("bash -c %s", script))


def of(stack: Instance, service: str) -> list[Container]:
    """The running containers of a service; at least one, else AssertionError."""
    found = [container for engine in stack.engines.values() for container in on(engine, stack.prefix, service)]
    assert found, f"no container of {service} runs"
    return found


def on(engine: Endpoint, instance: str, service: str | None = None) -> list[Container]:
    """The running containers of an instance on one engine, in the order of their names; of one service or of all."""
    wanted = [f"{labels.INSTANCE}={instance}", *([f"{labels.COMPONENT}={service}"] if service else [])]
    with swarm.client(where=engine) as api:
        listed = api.containers(filters={"label": wanted, "status": "running"})
        ids = [item["Id"] for item in sorted(listed, key=lambda item: str(item["Names"]))]
        with concurrent.futures.ThreadPoolExecutor(max(1, len(ids))) as pool:
            details = list(pool.map(functools.partial(_inspect, api), ids))
    found = zip(ids, details, strict=True)
    return [Container(id=id_, engine=engine, details=told) for id_, told in found if told is not None]


def one(stack: Instance, service: str) -> Container:
    """The container of a service that has one."""
    found = of(stack, service)
    assert len(found) == 1, f"{service} has {len(found)} containers"
    return found[0]


def execute(container: Container, command: Sequence[str], **variables: str) -> str:
    """Runs a command with variables that show in no process list, not even for a moment; gives what it said."""
    named = [option for name in variables for option in ("--env", name)]
    ended = subprocess.run(
        ["docker", "exec", *named, container.id, *command],
        env={**os.environ, **container.engine.environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=_EXEC_SECONDS,
    )
    assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
    return ended.stdout.strip()


def _inspect(api: docker.APIClient, container_id: str) -> Mapping[str, Any] | None:
    try:
        return dict(api.inspect_container(container_id))
    except docker.errors.NotFound:
        return None  # ended meanwhile


def _pairs(status: str) -> Iterator[tuple[str, str]]:
    for line in status.splitlines():
        name, _, value = line.partition(":")
        yield name, value.strip()
