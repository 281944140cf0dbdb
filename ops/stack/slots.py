"""Whether each numbered place of a plan is one node of the swarm, and whether the data that belongs there is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

import docker
import requests

from infra.names import SLOT_LABEL, physical
from infra.plan.shared import on_slot
from infra.spec import DeploymentPlan, ServiceSpec
from ops import console
from ops.errors import HostError
from ops.stack import engines, swarm, target
from ops.stack.reference import Stack

# Whether a volume, by its node's id and its name, has anything in it.
HasData = Callable[[str, str], bool]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Node:
    id: str
    name: str
    slot: int
    is_ready: bool
    # Names in Docker; None where the engine cannot be asked from here.
    volumes: frozenset[str] | None


def check(stack: Stack, plan: DeploymentPlan, *, force: bool = False) -> None:
    """Raises HostError where a place has no node or two, or where its data is on another node. Nothing is changed.

    `force` goes on without a node, as while a lost one is not replaced yet; never where data would be left behind.
    """
    if not _bound(plan):
        return
    with swarm.client(where=target.endpoint_of(stack)) as api, engines.reachable(stack, api) as clients:
        volumes = {
            node: frozenset(volume["Name"] for volume in client.volumes()["Volumes"] or ())
            for node, client in clients.items()
        }

        def has_data(node: str, name: str) -> bool:
            return _size_bytes(clients[node], name) != 0

        refuse(plan, api.nodes(), volumes, has_data, force=force)


def refuse(
    plan: DeploymentPlan,
    listed: Iterable[Mapping[str, Any]],
    volumes: Mapping[str, Set[str]],
    has_data: HasData,
    *,
    force: bool = False,
) -> None:
    """The same for nodes as the swarm lists them, and the names of the volumes by the node's id."""
    bound, nodes = _bound(plan), [_node(one, volumes) for one in listed]
    for slot, services in bound.items():
        _one_node(slot, services, nodes, force=force)
    for slot, services in bound.items():
        for node in nodes:
            if node.slot == slot:
                _has_its_data(plan, node, services, nodes, has_data)


def _one_node(slot: int, services: Iterable[ServiceSpec], nodes: Iterable[_Node], *, force: bool) -> None:
    found = [node for node in nodes if node.slot == slot]
    if not found:
        missing = (
            f"No node of the swarm has the label {SLOT_LABEL}={slot}, so that {_names(services)} would start nowhere."
        )
        if force:
            console.say(f"  going on, by --force: {missing}")
            return
        raise HostError(
            f"{missing} Give it to the node that has their volumes: docker node update --label-add {SLOT_LABEL}={slot} "
            "NODE. With --force the rest is brought up without them."
        )
    # One that is gone may still be listed while another has taken its place.
    ready = sorted(node.name for node in found if node.is_ready)
    if len(ready) > 1:
        raise HostError(
            f"The nodes {' and '.join(ready)} both have the label {SLOT_LABEL}={slot}, and {_names(services)} might "
            f"start on either, with or without data. Take it from one: docker node update --label-rm {SLOT_LABEL} NODE"
        )


def _has_its_data(
    plan: DeploymentPlan, node: _Node, services: Iterable[ServiceSpec], nodes: Iterable[_Node], has_data: HasData
) -> None:
    for service in services:
        for mount in service.volumes:
            name = physical(plan.instance, mount.volume)
            if node.volumes is None or name in node.volumes:
                continue
            for other in nodes:
                if name not in (other.volumes or ()) or _claims(plan, other, mount.volume):
                    continue
                # Pulumi makes every volume on the manager too, where it stays empty unless its service is there.
                if has_data(other.id, name):
                    raise HostError(
                        f"{service.name} would start on {node.name} without its data: the volume {name} is on "
                        f"{other.name}, and the label {SLOT_LABEL}={node.slot} on {node.name}. Give {other.name} that "
                        f"label again; or, if {node.name} shall begin empty, remove the volume on {other.name} "
                        "(docs/runbooks/replace-node.md)."
                    )


def _claims(plan: DeploymentPlan, node: _Node, volume: str) -> bool:
    mounted = (mount.volume for service in _bound(plan).get(node.slot, ()) for mount in service.volumes)
    return volume in mounted


def _bound(plan: DeploymentPlan) -> dict[int, list[ServiceSpec]]:
    """The services of each numbered place."""
    found: dict[int, list[ServiceSpec]] = {}
    for slot in range(1, plan.nodes + 1):
        if services := [service for service in plan.services if service.placement == on_slot(slot)]:
            found[slot] = services
    return found


def _node(listed: Mapping[str, Any], volumes: Mapping[str, Set[str]]) -> _Node:
    label = str((listed["Spec"].get("Labels") or {}).get(SLOT_LABEL, ""))
    found = volumes.get(listed["ID"])
    return _Node(
        id=str(listed["ID"]),
        name=str(listed["Description"]["Hostname"]),
        slot=int(label) if label.isdecimal() else 0,
        is_ready=listed["Status"].get("State") == "ready",
        volumes=None if found is None else frozenset(found),
    )


def _size_bytes(client: docker.APIClient, name: str) -> int:
    """What is in a volume; -1 where the engine does not know. It counts every file, so it is asked only in doubt."""
    try:
        found = client.df()["Volumes"] or ()
    except requests.exceptions.RequestException:
        return -1
    return next((int((one.get("UsageData") or {}).get("Size", -1)) for one in found if one["Name"] == name), -1)


def _names(services: Iterable[ServiceSpec]) -> str:
    return ", ".join(service.name for service in services)
