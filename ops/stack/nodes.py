"""The nodes of a stack's swarm, for work that must reach every one of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import docker
import requests

from infra import names
from infra.plan.shared import on_slot
from infra.spec import ServiceSpec
from ops.errors import HostError
from ops.host.endpoint import Endpoint
from ops.stack import swarm, target
from ops.stack.reference import Stack

_ANSWER_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """A node by its name in the swarm; `slot` is the number that its label says, 0 for none."""

    name: str
    slot: int
    engine: Endpoint

    def has(self, service: ServiceSpec) -> bool:
        """Whether the plan binds the service to this node, whether it runs there or not."""
        return self.slot > 0 and service.placement == on_slot(self.slot)


def all_of(stack: Stack) -> list[Node]:
    """Every node, by the number of its slot. Raises HostError where one is away, drained, or does not answer."""
    with swarm.client(where=target.endpoint_of(stack)) as api:
        listed = api.nodes()
    refuse_absent(listed)
    found = [_node(stack, one) for one in listed]
    for node in found:
        _require_answer(node)
    return sorted(found, key=lambda node: (node.slot, node.name))


def refuse_absent(listed: Sequence[Mapping[str, Any]]) -> None:
    """Raises HostError for a node, as the swarm lists it, that is away or takes no tasks."""
    for one in listed:
        name = one["Description"]["Hostname"]
        if one["Status"].get("State") != "ready":
            raise HostError(
                f"Node {name} is away, and would come back with data of today. Bring it back first; or, if it is gone "
                f"for good, take it out of the swarm: `docker node rm --force {name}`."
            )
        if one["Spec"].get("Availability", "active") != "active":
            raise HostError(
                f"Node {name} is taken out: nothing starts there. Let it in: `./pidea drain STACK {name} --end`."
            )


def _node(stack: Stack, listed: Mapping[str, Any]) -> Node:
    name = str(listed["Description"]["Hostname"])
    label = str((listed["Spec"].get("Labels") or {}).get(names.SLOT_LABEL, ""))
    return Node(name=name, slot=int(label) if label.isdecimal() else 0, engine=target.engine_of(stack, name))


def _require_answer(node: Node) -> None:
    try:
        with contextlib.closing(node.engine.client(timeout_seconds=_ANSWER_SECONDS)) as api:
            api.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise HostError(f"The engine of node {node.name} does not answer: {error}") from error
