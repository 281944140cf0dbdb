"""A stack's swarm for tests: its nodes, services, tasks, secrets and overlays, each by its name in the plan."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from infra import names
from infra import outputs as keys
from infra.components import labels
from infra.spec import ServiceSpec
from ops.host.endpoint import Endpoint
from ops.stack import swarm
from tests.stack import containers
from tests.stack.containers import Container
from tests.stack.prod import Prod

_CONSTRAINT = re.compile(rf"node\.labels\.{re.escape(names.SLOT_LABEL)}\s*==\s*(\d+)")


def slot_of(service: ServiceSpec) -> int | None:
    """The number of the node to which the plan binds a service; None where it may run on any."""
    found = [match for constraint in service.placement.constraints if (match := _CONSTRAINT.fullmatch(constraint))]
    return int(found[0][1]) if found else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """A node. `details` is what the swarm says of it; `address` is the one at which its edge answers."""

    name: str
    slot: int
    address: str
    engine: Endpoint
    details: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A task that shall run; `node` is the name of the one it was given to, `container` None until it runs there."""

    service: str
    node: str
    state: str
    container: Container | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """A service of the plan. `details` is what the swarm says of it."""

    spec: ServiceSpec
    details: Mapping[str, Any]
    tasks: Sequence[Task]

    @property
    def task(self) -> Task:
        """The task of a service that has one."""
        assert len(self.tasks) == 1, f"{self.spec.name} has {len(self.tasks)} tasks"
        return self.tasks[0]

    @property
    def containers(self) -> list[Container]:
        """Those of its tasks that run."""
        return [task.container for task in self.tasks if task.container is not None]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What `look` found: everything by logical name. `containers` has the instance's on each node."""

    prefix: str
    nodes: Mapping[str, Node]
    services: Mapping[str, Service]
    containers: Mapping[str, Sequence[Container]]
    secrets: Mapping[str, Mapping[str, Any]]
    overlays: Mapping[str, Mapping[str, Any]]

    @classmethod
    def look(cls, stack: Prod) -> Self:
        """All of a stack that is up, as it is now. Raises HostError where a node does not answer."""
        engines = stack.engines
        with concurrent.futures.ThreadPoolExecutor(len(engines)) as pool:
            on_each = pool.map(lambda engine: containers.on(engine, stack.prefix), engines.values())
            running = dict(zip(engines, on_each, strict=True))
        with swarm.client(where=stack.manager) as api:
            listed = {node["Description"]["Hostname"]: node for node in api.nodes()}
            labelled = {"label": f"{labels.INSTANCE}={stack.prefix}"}
            services = api.services(filters=labelled)  # type: ignore[no-untyped-call]
            tasks = api.tasks(filters={"desired-state": "running"})  # type: ignore[no-untyped-call]
            secrets = api.secrets(filters=labelled)
            overlays = {
                name: api.inspect_network(physical) for name, physical in stack.outputs()[keys.NETWORKS].items()
            }
        nodes = {name: _node(stack, name, engine, listed[name]) for name, engine in engines.items()}
        node_names = {node.details["ID"]: node.name for node in nodes.values()}
        found = {container.id: container for one in running.values() for container in one}
        of_service: dict[str, list[dict[str, Any]]] = {}
        for task in tasks:
            of_service.setdefault(task["ServiceID"], []).append(task)
        specs = {names.physical(stack.prefix, spec.name): spec for spec in stack.plan.services}
        return cls(
            prefix=stack.prefix,
            nodes=nodes,
            services={
                (spec := specs[item["Spec"]["Name"]]).name: Service(
                    spec=spec,
                    details=item,
                    tasks=[_task(spec.name, task, node_names, found) for task in of_service.get(item["ID"], [])],
                )
                for item in services
                if item["Spec"]["Name"] in specs
            },
            containers=running,
            secrets={item["Spec"]["Labels"][labels.COMPONENT]: item for item in secrets},
            overlays=overlays,
        )

    def node(self, name: str) -> Node:
        """The node that is called `n1`."""
        return self.nodes[name]

    def node_in(self, slot: int) -> Node:
        """The node with that number."""
        return next(node for node in self.nodes.values() if node.slot == slot)

    def service(self, name: str) -> Service:
        """The service that the plan calls `redis-1`. Raises AssertionError where the swarm has none such."""
        assert name in self.services, f"there is no service {name}; there are {', '.join(sorted(self.services))}"
        return self.services[name]

    def secret(self, name: str) -> Mapping[str, Any]:
        """What the swarm tells of a secret: never its content."""
        return self.secrets[name]

    def overlay(self, name: str) -> Mapping[str, Any]:
        """What the swarm tells of a network."""
        return self.overlays[name]

    def host_of(self, task: Task) -> Any:
        """Testinfra's host: commands in the task's container, on whichever node it is."""
        assert task.container is not None, f"{task.service} on {task.node} is {task.state}"
        return task.container.inside


def _node(stack: Prod, name: str, engine: Endpoint, details: Mapping[str, Any]) -> Node:
    slot = int(details["Spec"]["Labels"][names.SLOT_LABEL])
    return Node(name=name, slot=slot, address=stack.address(slot), engine=engine, details=details)


def _task(service: str, task: Mapping[str, Any], nodes: Mapping[str, str], found: Mapping[str, Container]) -> Task:
    status = task["Status"]
    container_id = (status.get("ContainerStatus") or {}).get("ContainerID", "")
    return Task(
        service=service,
        node=nodes.get(task.get("NodeID", ""), ""),
        state=status["State"],
        container=found.get(container_id),
    )
