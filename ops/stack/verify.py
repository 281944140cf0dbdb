"""Whether what runs is what was asked for: each running task's image, and how many there are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import docker
import requests

from ops.host.endpoint import Endpoint
from ops.stack import engines, swarm
from ops.stack.engines import EngineOf
from ops.stack.reference import Stack

_SETTLE_SECONDS = 60.0
_POLL_SECONDS = 1.0


def problems(
    expected: Mapping[str, Mapping[str, Any]],
    instance: str,
    where: Endpoint | None = None,
    *,
    stack: Stack | None = None,
) -> list[str]:
    """One line for each service that is not as asked; waits up to a minute for tasks that are still starting.

    `expected` is the stack's output `services`: logical name → name in Docker, image reference, replicas.
    `where` is the swarm's manager, None for the engine that the docker command line would use.
    `stack` says where its nodes' engines are; without it only what the manager's own engine runs is looked into.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    with swarm.client(where=where) as api, engines.of(stack, api) as engine_of:
        while True:
            running = swarm.services(api, instance)
            found = [
                line
                for logical, wanted in expected.items()
                for line in _differences(engine_of, running, logical, wanted)
            ]
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(_POLL_SECONDS)


def _differences(
    engine_of: EngineOf, running: Mapping[str, swarm.Service], logical: str, wanted: Mapping[str, Any]
) -> list[str]:
    service = running.get(wanted["name"])
    if service is None:
        return [f"{logical}: there is no service {wanted['name']}"]
    lines = [
        f"{logical}: a task runs {short(task.image)}, asked for was {short(wanted['image'])}"
        for task in service.running
        if task.image != wanted["image"] or not _is_container_of(engine_of(task), task, wanted["image"])
    ]
    replicas = wanted["replicas"]
    if replicas is not None and service.wanted != int(replicas):
        lines.append(f"{logical}: {service.wanted} replicas are set, asked for were {int(replicas)}")
    if len(service.running) != service.wanted:
        lines.append(f"{logical}: {len(service.running)} of {service.wanted} tasks run")
    return lines


def _is_container_of(api: docker.APIClient | None, task: swarm.Task, reference: str) -> bool:
    """True where the task's container was made from that very image, or is on a machine that cannot be asked."""
    if api is None:
        return True
    try:
        image_id = api.inspect_container(task.container_id)["Image"]
        image = api.inspect_image(image_id)  # type: ignore[no-untyped-call]
    except (docker.errors.NotFound, requests.exceptions.RequestException):
        return True
    digests = {digest.partition("@")[2] for digest in image.get("RepoDigests") or []}
    return reference == image_id or reference.partition("@")[2] in digests


def short(reference: str) -> str:
    """An image reference for people: an id or digest cut to 12 digits."""
    name, _, digest = reference.rpartition("sha256:")
    return f"{name}{digest[:12]}" if digest and _ else reference
