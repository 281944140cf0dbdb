"""Services that are stopped for a while, and started again with as many tasks as the plan asks for."""

from __future__ import annotations

import os
import subprocess
import time

from infra.names import physical
from infra.spec import DeploymentPlan
from ops.errors import DeployError
from ops.stack import engines, health, swarm, target
from ops.stack.reference import Stack

_POLL_SECONDS = 0.5


def stop(stack: Stack, plan: DeploymentPlan, service: str, *, seconds: float = 120.0) -> None:
    """Returns when no task of it runs. Raises DeployError."""
    _scale(stack, plan, service, 0)
    name = physical(plan.instance, service)
    deadline = time.monotonic() + seconds
    with swarm.client(where=target.endpoint_of(stack)) as api:
        while True:
            tasks = swarm.services(api, plan.instance)[name].tasks
            if not any(task.state in {"running", "starting", "preparing", "assigned", "accepted"} for task in tasks):
                return
            if time.monotonic() > deadline:
                raise DeployError(f"{name} did not end within {seconds:.0f} s; see `./pidea status`.")
            time.sleep(_POLL_SECONDS)


def start(stack: Stack, plan: DeploymentPlan, service: str, *, seconds: float = 180.0) -> None:
    """Returns when all tasks that the plan asks for are healthy. Raises DeployError."""
    (spec,) = [found for found in plan.services if found.name == service]
    _scale(stack, plan, service, spec.replicas)
    name = physical(plan.instance, service)
    deadline = time.monotonic() + seconds
    with swarm.client(where=target.endpoint_of(stack)) as api, engines.of(stack, api) as engine_of:
        while True:
            (found,) = health.of(engine_of, {name: swarm.services(api, plan.instance)[name]})
            if found.is_well and found.healthy == found.wanted == spec.replicas:
                return
            if time.monotonic() > deadline:
                raise DeployError(f"{name} is not well after {seconds:.0f} s: {found.problem or 'it still starts'}.")
            time.sleep(_POLL_SECONDS)


def _scale(stack: Stack, plan: DeploymentPlan, service: str, replicas: int) -> None:
    name = physical(plan.instance, service)
    done = subprocess.run(
        ["docker", "service", "update", "--detach", "--quiet", "--replicas", str(replicas), name],
        env={**os.environ, **target.endpoint_of(stack).environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise DeployError(f"{name} could not be scaled to {replicas}: {done.stderr.strip()}")
