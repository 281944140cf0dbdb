"""How long our deployments take beside `docker stack deploy` of the same services, on the same machine, in turn."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker
import yaml

from ops import console
from ops.errors import DeployError, HostError
from ops.host import endpoint
from ops.stack import compose, deploy, settings, swarm, teardown
from ops.stack.reference import Stack, resolve

INSTANCE = "bench"
_YARDSTICK = "pidea-bench-compose"
_UPDATED = "app"
_HEALTHY_WITHIN_SECONDS = 300.0
_POLL_SECONDS = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """One kind of deployment: seconds of each run, ours and the yardstick's."""

    name: str
    ours: list[float] = dataclasses.field(default_factory=list)
    theirs: list[float] = dataclasses.field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median of ours divided by median of theirs."""
        return statistics.median(self.ours) / statistics.median(self.theirs)

    def as_json(self) -> dict[str, Any]:
        """For scripts: seconds."""
        return {"ours": self.ours, "docker_stack_deploy": self.theirs, "ratio": round(self.ratio, 2)}


def run(environment: str, runs: int) -> list[Measured]:
    """Measures `runs` times on an instance of its own, and removes it. Needs the docker command line.

    The yardstick stands beside our instance on the same networks and secrets, with volumes of its own.
    """
    if shutil.which("docker") is None:
        raise HostError("The benchmark compares with `docker stack deploy`; install the docker command line first.")
    stack = resolve(environment, INSTANCE)
    measured = [Measured(name=name) for name in ("full", "no-op", "update")]
    full, no_op, update = measured
    with _removed_at_the_end(stack), TemporaryDirectory(prefix="pidea-") as scratch:
        file = Path(scratch) / "compose.yaml"
        deploy.deploy(stack)  # builds what is not cached yet; not counted
        for number in range(1, runs + 1):
            console.say(f"run {number} of {runs}")
            teardown.destroy(stack, with_data=True)
            full.ours.append(_timed(lambda: deploy.deploy(stack)))
            no_op.ours.append(_timed(lambda: deploy.deploy(stack)))
            _write_compose(stack, file)
            full.theirs.append(_timed(lambda: _stack_deploy(file)))
            no_op.theirs.append(_timed(lambda: _stack_deploy(file)))
            _change_config(stack)
            update.ours.append(_timed(lambda: deploy.deploy(stack)))
            _change_compose(file)
            update.theirs.append(_timed(lambda: _stack_deploy(file)))
            _remove_yardstick()
    return measured


def _timed(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return round(time.monotonic() - started, 1)


@contextlib.contextmanager
def _removed_at_the_end(stack: Stack) -> Iterator[None]:
    _remove_yardstick()
    try:
        yield
    finally:
        _remove_yardstick()
        if stack.config_file.exists():
            teardown.destroy(stack, with_data=True)


def _write_compose(stack: Stack, file: Path) -> None:
    instance = settings.plan_of(stack).instance
    with swarm.client() as api:
        inspected = [api.inspect_service(service.id) for service in swarm.services(api, instance).values()]  # type: ignore[no-untyped-call]
        networks = {item["Id"]: item["Name"] for item in api.networks() if item["Name"].startswith(f"{instance}-")}
    file.write_text(yaml.safe_dump(compose.compose_file(inspected, networks, instance)))


def _change_config(stack: Stack) -> None:
    content = yaml.safe_load(stack.config_file.read_text())
    content["config"]["pidea:app"] = {**content["config"].get("pidea:app", {}), "logLevel": "WARNING"}
    stack.config_file.write_text(yaml.safe_dump(content, sort_keys=False))


def _change_compose(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    service = content["services"][_UPDATED]
    service["environment"] = [
        "LOG_LEVEL=WARNING" if item.startswith("LOG_LEVEL=") else item for item in service["environment"]
    ]
    file.write_text(yaml.safe_dump(content))


def _stack_deploy(file: Path) -> None:
    _docker("stack", "deploy", "--compose-file", str(file), "--resolve-image", "never", _YARDSTICK)
    deadline = time.monotonic() + _HEALTHY_WITHIN_SECONDS
    with swarm.client() as api:
        while not _is_settled(api):
            if time.monotonic() > deadline:
                raise DeployError("`docker stack deploy` did not become healthy; the benchmark measured nothing.")
            time.sleep(_POLL_SECONDS)


def _is_settled(api: docker.APIClient) -> bool:
    found = swarm.services(api, _YARDSTICK, label="com.docker.stack.namespace").values()
    return bool(found) and all(
        len(service.running) == service.wanted and service.update in {"", "completed"} for service in found
    )


def _remove_yardstick() -> None:
    _docker("stack", "rm", _YARDSTICK)
    with swarm.client() as api:
        for _ in range(60):
            left = api.containers(filters={"label": f"com.docker.stack.namespace={_YARDSTICK}"})
            if not left:
                break
            time.sleep(0.5)
        volumes = api.volumes(filters={"label": f"com.docker.stack.namespace={_YARDSTICK}"}).get("Volumes") or []
        for volume in volumes:
            with contextlib.suppress(docker.errors.APIError):
                api.remove_volume(volume["Name"], force=True)


def _docker(*arguments: str) -> None:
    done = subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **endpoint.resolve().environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DeployError(f"docker {' '.join(arguments[:2])} failed: {done.stderr.strip()}")
