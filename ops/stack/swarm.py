"""What of a stack runs: its services, their tasks, and the containers on this machine. Only looks."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import docker
import requests

from ops.errors import HostError
from ops.host import engine
from ops.host.endpoint import Endpoint

INSTANCE_LABEL = "dev.pidea.instance"
_TIMEOUT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A task of a service. `error` is Swarm's reason, empty where there is none; `container_id`, `node_id` likewise."""

    id: str
    slot: int
    state: str
    desired: str
    image: str
    container_id: str
    error: str
    created_at: str
    node_id: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """A service as Swarm has it. `replicas` None means one on every node.

    `update` is its last update's state, `update_started_at` when that began; both are empty where there was none.
    """

    id: str
    name: str
    image: str
    replicas: int | None
    update: str
    update_message: str
    update_started_at: str
    ports: tuple[int, ...]
    memory_reservation_bytes: int
    tasks: tuple[Task, ...]

    @property
    def running(self) -> tuple[Task, ...]:
        """The tasks that run and shall run."""
        return tuple(task for task in self.tasks if task.state == "running" and task.desired == "running")

    @property
    def wanted(self) -> int:
        """How many tasks there shall be."""
        if self.replicas is not None:
            return self.replicas
        return sum(task.desired == "running" for task in self.tasks)


@contextlib.contextmanager
def client(timeout_seconds: float = _TIMEOUT_SECONDS, *, where: Endpoint | None = None) -> Iterator[docker.APIClient]:
    """A client of the engine at `where`, of the one that the docker command line would use for None.

    An engine that fails, or is silent for `timeout_seconds`, is a HostError.
    """
    api = engine.require(where).client(timeout_seconds)
    try:
        yield api
    except docker.errors.APIError as error:
        raise HostError(f"Docker refused: {error.explanation or error}; see Docker's log.") from error
    except requests.exceptions.RequestException as error:
        raise HostError(f"Docker does not answer any more ({type(error).__name__}); see that it runs.") from error
    finally:
        api.close()


def services(api: docker.APIClient, instance: str, *, label: str = INSTANCE_LABEL) -> dict[str, Service]:
    """The services whose `label` says `instance`, by name in Docker."""
    labelled = api.services(filters={"label": f"{label}={instance}"})  # type: ignore[no-untyped-call]
    names = [item["Spec"]["Name"] for item in labelled]
    tasks: dict[str, list[Task]] = {item["ID"]: [] for item in labelled}
    if names:
        for item in api.tasks(filters={"service": names}):  # type: ignore[no-untyped-call]
            if item["ServiceID"] in tasks:  # Docker's filter takes beginnings of names too
                tasks[item["ServiceID"]].append(_task(item))
    return {item["Spec"]["Name"]: _service(item, tasks[item["ID"]]) for item in labelled}


def reserved_bytes(item: Mapping[str, Any]) -> int:
    """What a service (as the engine lists it) reserves for all of its tasks; on one node where it has one for each."""
    spec = item["Spec"]
    resources = spec["TaskTemplate"].get("Resources") or {}
    each = (resources.get("Reservations") or {}).get("MemoryBytes", 0)
    replicas = (spec["Mode"].get("Replicated") or {}).get("Replicas", 1)
    return int(each) * int(replicas)


def _service(item: dict[str, Any], tasks: Sequence[Task]) -> Service:
    spec = item["Spec"]
    replicated = spec["Mode"].get("Replicated")
    update = item.get("UpdateStatus") or {}
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or []
    return Service(
        id=item["ID"],
        name=spec["Name"],
        image=spec["TaskTemplate"]["ContainerSpec"]["Image"],
        replicas=int(replicated.get("Replicas", 1)) if replicated is not None else None,
        update=update.get("State", ""),
        update_message=update.get("Message", ""),
        update_started_at=update.get("StartedAt", ""),
        memory_reservation_bytes=reserved_bytes(item),
        ports=tuple(port["PublishedPort"] for port in ports if "PublishedPort" in port),
        tasks=tuple(sorted(tasks, key=lambda task: (task.slot, task.created_at))),
    )


def _task(item: dict[str, Any]) -> Task:
    status = item.get("Status") or {}
    return Task(
        id=item["ID"],
        slot=item.get("Slot", 0),
        state=status.get("State", ""),
        desired=item.get("DesiredState", ""),
        image=item["Spec"]["ContainerSpec"]["Image"],
        container_id=(status.get("ContainerStatus") or {}).get("ContainerID", ""),
        error=status.get("Err", ""),
        created_at=item.get("CreatedAt", ""),
        node_id=item.get("NodeID", ""),
    )
