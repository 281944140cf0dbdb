"""The swarm that a lab's nodes form: made by the first, joined by the others, each node labelled with its slot."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import docker

from ops.errors import HostError
from ops.lab import endpoint, shell
from ops.lab.record import Record
from ops.lab.reference import Lab, node_name
from ops.stack import heartbeat, swarm

# What the plan's placement constraints ask for.
NODE_LABEL = "dev.pidea.slot"
# More managers only make agreement slower; Docker advises at most seven.
MANAGERS_MAX = 7
_PORT = 2377
_START_SECONDS = 120.0
_READY_SECONDS = 120.0
_POLL_SECONDS = 0.1


def wait_for_engines(lab: Lab, record: Record) -> None:
    """Waits for every node's engine. Raises HostError for one that does not start in two minutes."""
    shell.at_once(lambda slot: wait_for_engine(lab, slot), record.slots)


def form(lab: Lab, record: Record) -> None:
    """Makes the swarm of engines that are in none yet."""
    first = record.address(1)
    with engine(lab, 1) as api:
        spec = heartbeat.spec(api)
        api.init_swarm(advertise_addr=first, listen_addr=f"{first}:{_PORT}", swarm_spec=spec)
        tokens = api.inspect_swarm()["JoinTokens"]
    # One after the other: managers that join at the same moment can refuse each other.
    for slot in record.slots[1:]:
        address = record.address(slot)
        token = tokens["Manager" if slot <= MANAGERS_MAX else "Worker"]
        with engine(lab, slot) as api:
            api.join_swarm([f"{first}:{_PORT}"], token, advertise_addr=address, listen_addr=f"{address}:{_PORT}")


def label(lab: Lab, record: Record) -> None:
    """Gives every node the label with its slot."""
    slots = {record.address(slot): slot for slot in record.slots}
    with engine(lab, endpoint.manager(lab)) as api:
        for node in api.nodes():
            spec, slot = node["Spec"], slots[_address(node)]
            wanted = {**(spec.get("Labels") or {}), NODE_LABEL: str(slot)}
            if spec.get("Labels") != wanted:
                new: Any = {**spec, "Labels": wanted}
                api.update_node(node["ID"], node["Version"]["Index"], new)


def wait_until_ready(lab: Lab, record: Record) -> None:
    """Waits until every node is ready, and every manager in touch with the leader. Raises HostError after two."""
    deadline = time.monotonic() + _READY_SECONDS
    missing = list(record.slots)
    while missing:
        if time.monotonic() > deadline:
            names = ", ".join(map(node_name, missing))
            raise HostError(
                f"The swarm of lab {lab.name!r} is not complete: {names} not ready after {_READY_SECONDS:.0f} s; "
                f"look at `docker logs {lab.container(missing[0])}`, or take the lab down and up again."
            )
        with contextlib.suppress(HostError):
            listed = by_slot(nodes(lab, _POLL_SECONDS), record)
            missing = [slot for slot in record.slots if not _is_ready(listed.get(slot))]
        time.sleep(_POLL_SECONDS)


def nodes(lab: Lab, wait_seconds: float = _READY_SECONDS) -> list[dict[str, Any]]:
    """The nodes as the swarm lists them. Raises HostError where no manager answers within `wait_seconds`."""
    with engine(lab, endpoint.manager(lab, wait_seconds)) as api:
        return list(api.nodes())


def role(node: dict[str, Any]) -> str:
    """`leader`, `manager` or `worker`."""
    manager = node.get("ManagerStatus") or {}
    return "leader" if manager.get("Leader") else str(node["Spec"]["Role"])


def by_slot(listed: list[dict[str, Any]], record: Record) -> dict[int, dict[str, Any]]:
    """The nodes that the swarm lists, by the slot whose address they have."""
    slots = {record.address(slot): slot for slot in record.slots}
    return {slots[_address(node)]: node for node in listed if _address(node) in slots}


@contextlib.contextmanager
def engine(lab: Lab, slot: int) -> Iterator[docker.APIClient]:
    """A client of one node's engine."""
    with swarm.client(where=endpoint.of_node(lab, slot)) as api:
        yield api


def _address(node: dict[str, Any]) -> str:
    # A leader's own Status.Addr can read 0.0.0.0 for a moment.
    manager = (node.get("ManagerStatus") or {}).get("Addr", "")
    return str(manager).rpartition(":")[0] or str(node["Status"].get("Addr", ""))


def _is_ready(node: dict[str, Any] | None) -> bool:
    if node is None or node["Status"].get("State") != "ready":
        return False
    manager = node.get("ManagerStatus")
    return manager is None or manager.get("Reachability") == "reachable"


def wait_for_engine(lab: Lab, slot: int) -> None:
    """Waits for one node's engine. Raises HostError where it does not start in two minutes."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with engine(lab, slot) as api:
                api.ping()
                return
        except HostError as error:
            if time.monotonic() > deadline:
                raise HostError(
                    f"The engine of node {node_name(slot)} did not start in {_START_SECONDS:.0f} s; "
                    f"look at `docker logs {lab.container(slot)}`. {error}"
                ) from error
        time.sleep(_POLL_SECONDS)
