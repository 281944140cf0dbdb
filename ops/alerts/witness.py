"""The witness: a service beside the stack's own that takes pages and looks at Prometheus, and a hand in the stack."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, cast

import docker

from infra import names
from ops.alerts.timeline import Timeline
from ops.chaos import clients, image
from ops.chaos.target import SERVICE_LABEL, SILENT, Target
from ops.errors import DeployError
from ops.stack import swarm

NAME = "witness"
LABEL = "dev.pidea.alerts"
PORT = 9999
_START_SECONDS = 90.0
_GONE_SECONDS = 40.0
_READ_SECONDS = 0.5
# Read again each time, so that a line which the engine was late with is not missed.
_OVERLAP_SECONDS = 5
_STROKE_SECONDS = 90.0
_HOLD_SECONDS = 60.0
# Thousands of sessions and dozens of connections are held in it.
_MEMORY_MIB = 256


def url(target: Target) -> str:
    """Where pages are sent."""
    return f"http://{_service(target)}:{PORT}/"


class Witness:
    """Made by `watching`."""

    def __init__(self, target: Target) -> None:
        self.timeline = Timeline()
        self._target = target
        self._since = int(time.time()) - _OVERLAP_SECONDS

    def container(self) -> tuple[Mapping[str, str], str]:
        """The environment of a docker command that reaches its engine, and the container's id. Raises DeployError."""
        for node in self._target.nodes:
            with contextlib.suppress(*SILENT), self._target.engine(node) as api:
                filters = {"label": f"{SERVICE_LABEL}={_service(self._target)}", "status": "running"}
                for found in api.containers(filters=filters):
                    return {**os.environ, **node.engine.environment}, str(found["Id"])
        raise DeployError("The witness of the alerts does not run; see `docker service ps`.")

    def stroke(self, what: str, *arguments: str) -> None:
        """Does what is over at once (`chaos.strokes`). Raises DeployError with its own words."""
        self.run([clients.PYTHON, "-m", "chaos.strokes", what, *arguments])

    def run(self, command: Sequence[str], *, may_fail: bool = False) -> None:
        """Runs a command in the witness' container. Raises DeployError where it fails."""
        environment, container = self.container()
        done = subprocess.run(
            ["docker", "exec", container, *command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_STROKE_SECONDS,
        )
        if done.returncode and not may_fail:
            raise DeployError(f"{' '.join(command[2:])} failed: {done.stderr.strip().rpartition(chr(10))[2]}")

    @contextlib.contextmanager
    def hold(self, what: str, *arguments: str) -> Iterator[None]:
        """Holds something (`chaos.holds`) until the block ends, or this process does. Raises DeployError."""
        environment, container = self.container()
        process = subprocess.Popen(
            ["docker", "exec", "--interactive", container, clients.PYTHON, "-m", "chaos.holds", what, *arguments],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        overdue = threading.Timer(_HOLD_SECONDS, process.kill)
        overdue.start()
        try:
            said = cast(IO[str], process.stdout).readline().strip()
            overdue.cancel()
            if said != "ready":
                _, errors = process.communicate(timeout=_HOLD_SECONDS)
                raise DeployError(f"{what} could not be held: {errors.strip().rpartition(chr(10))[2] or 'silence'}")
            yield
        finally:
            overdue.cancel()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_HOLD_SECONDS)
            process.kill()
            process.wait()

    def read(self) -> None:
        """Takes what it has told since the last time."""
        begun = int(time.time())
        for node in self._target.nodes:
            with contextlib.suppress(*SILENT), self._target.engine(node) as api:
                filters = {"label": f"{SERVICE_LABEL}={_service(self._target)}"}
                for found in api.containers(all=True, filters=filters):
                    text = api.logs(found["Id"], stderr=False, since=self._since)
                    for line in text.decode(errors="replace").splitlines():
                        self.timeline.take(line)
                self._since = begun - _OVERLAP_SECONDS


@contextlib.contextmanager
def watching(target: Target) -> Iterator[Witness]:
    """A witness, from before the block to after it, whatever happens in it; it is read all the time."""
    reference = image.ensure(target, image.application(target))
    remove(target)
    over = threading.Event()
    found = Witness(target)
    reader = threading.Thread(target=_follow, args=(found, over), name="witness", daemon=True)
    try:
        _create(target, reference)
        reader.start()
        deadline = time.monotonic() + _START_SECONDS
        while not found.timeline.has_started:
            if time.monotonic() > deadline:
                raise DeployError(f"The witness does not start within {_START_SECONDS:.0f} s; see `docker service ps`.")
            time.sleep(_READ_SECONDS)
        yield found
    finally:
        over.set()
        remove(target)


def remove(target: Target) -> None:
    """Removes it, also that of a run that crashed, and waits until its container is gone."""
    with swarm.client(where=target.manager()) as api:
        for found in api.services(filters={"label": f"{LABEL}={target.instance}"}):  # type: ignore[no-untyped-call]
            with contextlib.suppress(docker.errors.NotFound):
                api.remove_service(found["ID"])  # type: ignore[no-untyped-call]
    deadline = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < deadline:
        try:
            Witness(target).container()
        except DeployError:
            return
        time.sleep(_READ_SECONDS)


def _service(target: Target) -> str:
    return names.physical(target.instance, NAME)


def _create(target: Target, reference: str) -> None:
    with swarm.client(where=target.manager()) as api:
        # Redis' network is PostgreSQL's too; Prometheus' is where Alertmanager is.
        inside = clients.networks_of(api, next(iter(target.members(names.REDIS).values())))
        watched = clients.networks_of(api, next(iter(target.members(names.PROMETHEUS).values())))
        secrets = clients.secrets_of(api, target)
        variables: dict[str, str] = {
            **clients.environment(target, clients.Plan(run=NAME, seconds=0, writes_per_second=0), 1),
            "WITNESS_PROMETHEUS": _addresses(target, names.PROMETHEUS, names.PROMETHEUS_PORT),
            "WITNESS_ALERTMANAGERS": _addresses(target, names.ALERTMANAGER, names.ALERTMANAGER_PORT),
        }
        template = clients.template(
            target,
            reference,
            variables,
            secrets=secrets,
            networks=[*dict.fromkeys([*inside, *watched])],
            slot=1,
            label=LABEL,
            arguments=(clients.PYTHON, "-m", "chaos.witness"),
            memory_mib=_MEMORY_MIB,
        )
        api.create_service(  # type: ignore[no-untyped-call]
            template,
            name=_service(target),
            labels={LABEL: target.instance},
            mode=docker.types.ServiceMode("replicated", 1),
            endpoint_spec=docker.types.EndpointSpec(mode="dnsrr"),
        )


def _addresses(target: Target, service: str, port: int) -> str:
    return ",".join(f"http://{host}:{port}/{service}" for host in target.members(service).values())


def _follow(found: Witness, over: threading.Event) -> None:
    while not over.wait(_READ_SECONDS):
        found.read()
