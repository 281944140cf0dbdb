"""How a stack is: each service's tasks, health and memory. Only looks."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import docker
import requests

from ops.stack import swarm
from ops.stack.engines import EngineOf
from ops.stack.verify import short

_PARALLEL = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceHealth:
    """One service. `memory_bytes` sums the containers that can be asked; `up_since` is its newest task's start."""

    name: str
    running: int
    wanted: int
    healthy: int
    image: str
    memory_bytes: int
    up_since: str
    problem: str

    @property
    def is_well(self) -> bool:
        """True where every task that shall run does, and none is unhealthy."""
        return self.running == self.wanted and not self.problem


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Container:
    health: str
    memory_bytes: int
    started_at: str


def of(engine_of: EngineOf, services: Mapping[str, swarm.Service]) -> list[ServiceHealth]:
    """The health of `services`, in the order of their names. Asks for all containers at the same time."""
    tasks = [task for service in services.values() for task in service.running if task.container_id]
    with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
        found = pool.map(lambda task: _container(engine_of(task), task.container_id), tasks)
        containers = dict(zip((task.container_id for task in tasks), found, strict=True))
    return [_health(service, containers) for _, service in sorted(services.items())]


def uptime(since: str, now: datetime.datetime | None = None) -> str:
    """Time since `since` (RFC 3339) for people: `3 d 4 h`, `12 min`, `40 s`; empty for an empty `since`."""
    if not since:
        return ""
    started = datetime.datetime.fromisoformat(since[:19]).replace(tzinfo=datetime.UTC)
    seconds = max(0, int(((now or datetime.datetime.now(datetime.UTC)) - started).total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def _container(api: docker.APIClient | None, container_id: str) -> _Container | None:
    if api is None:
        return None
    try:
        state = api.inspect_container(container_id)["State"]
        memory = api.stats(container_id, stream=False, one_shot=True).get("memory_stats") or {}
    except (docker.errors.APIError, requests.exceptions.RequestException):
        return None  # ended just now, or on a machine that we cannot ask
    # As `docker stats` counts: the page cache that can be dropped is not in use.
    used = memory.get("usage", 0) - memory.get("stats", {}).get(
        "inactive_file", memory.get("stats", {}).get("total_inactive_file", 0)
    )
    return _Container(
        health=(state.get("Health") or {}).get("Status", "none"),
        memory_bytes=max(0, used),
        started_at=state.get("StartedAt", ""),
    )


def _health(service: swarm.Service, containers: Mapping[str, _Container | None]) -> ServiceHealth:
    ours: Sequence[_Container] = [
        found for task in service.running if (found := containers.get(task.container_id)) is not None
    ]
    unhealthy = [container for container in ours if container.health == "unhealthy"]
    failed = [task.error for task in service.tasks if task.error and task.state in {"failed", "rejected", "pending"}]
    problem = ""
    if unhealthy:
        problem = f"{len(unhealthy)} unhealthy"
    elif len(service.running) != service.wanted:
        problem = failed[-1] if failed else "starting"
    return ServiceHealth(
        name=service.name,
        running=len(service.running),
        wanted=service.wanted,
        healthy=sum(container.health in {"healthy", "none"} for container in ours),
        image=short(service.image),
        memory_bytes=sum(container.memory_bytes for container in ours),
        up_since=max((container.started_at for container in ours), default=""),
        problem=problem,
    )


def as_json(services: Sequence[ServiceHealth]) -> list[dict[str, Any]]:
    """For scripts."""
    return [dataclasses.asdict(service) for service in services]
