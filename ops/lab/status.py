"""How a lab is: each node's state, role and faults. Only looks."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import docker

from ops.errors import HostError
from ops.lab import faults, machine, members, record, shell
from ops.lab.record import Record
from ops.lab.reference import FOLDER_LABEL, LABEL, SLOT_LABEL, Lab, node_name
from ops.stack import swarm

# A status is to be had while the swarm is without a leader too; that is part of it.
_MANAGER_SECONDS = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """A node. `state` is its container's; `role` and `ready` are the swarm's words, unknown without a manager."""

    name: str
    slot: int
    address: str
    state: str
    role: str
    ready: str
    faults: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """True where it runs, the swarm says that it is ready, and nobody ordered a fault."""
        return self.state == "running" and self.ready == "ready" and not self.faults


@dataclasses.dataclass(frozen=True, kw_only=True)
class Status:
    """A lab. `urls` are what its first manager answers at, by name."""

    name: str
    record: Record
    nodes: tuple[Node, ...]

    @property
    def is_well(self) -> bool:
        """True where every node is."""
        return all(node.is_well for node in self.nodes)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "name": self.name,
            "well": self.is_well,
            "subnet": self.record.subnet,
            "registry": self.record.registry,
            "can_encrypt": self.record.can_encrypt,
            "nodes": [dataclasses.asdict(node) for node in self.nodes],
        }


def of(lab: Lab) -> Status:
    """The lab's state. Raises UsageError where there is no such lab."""
    known = record.require(lab)
    listed: dict[int, dict[str, Any]] = {}
    with contextlib.suppress(HostError):
        listed = members.by_slot(members.nodes(lab, _MANAGER_SECONDS), known)
    with swarm.client(where=machine.of(known)) as api:
        nodes = shell.at_once(lambda slot: _node(api, lab, known, slot, listed.get(slot)), known.slots)
    return Status(name=lab.name, record=known, nodes=tuple(nodes))


def every() -> list[dict[str, Any]]:
    """Every lab on this machine's engine, also other checkouts': name, folder, containers running and in all."""
    labs: dict[tuple[str, str], dict[str, Any]] = {}
    with swarm.client(where=machine.local()) as api:
        for container in api.containers(all=True, filters={"label": LABEL}):
            labels = container["Labels"]
            key = (labels[LABEL], labels.get(FOLDER_LABEL, ""))
            lab = labs.setdefault(key, {"name": key[0], "folder": key[1], "nodes": 0, "running": 0})
            if SLOT_LABEL in labels:
                lab["nodes"] += 1
                lab["running"] += container["State"] == "running"
    return [labs[key] for key in sorted(labs)]


def _node(api: docker.APIClient, lab: Lab, known: Record, slot: int, listed: dict[str, Any] | None) -> Node:
    found: list[str] = []
    try:
        state = str(api.inspect_container(lab.container(slot))["State"]["Status"])
    except docker.errors.NotFound:
        state = "gone"
    if state == "running":
        with contextlib.suppress(HostError):  # it may be ending just now
            found = faults.of_node(api, lab.container(slot))
    return Node(
        name=node_name(slot),
        slot=slot,
        address=known.address(slot),
        state=state,
        role=members.role(listed) if listed else "unknown",
        ready=str(listed["Status"].get("State", "unknown")) if listed else "unknown",
        faults=tuple(found),
    )
