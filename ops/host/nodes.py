"""The engines of a swarm's nodes, found by their names from the engine of a manager."""

from __future__ import annotations

import contextlib
from typing import Any

from ops.errors import UsageError
from ops.host.endpoint import Endpoint
from ops.host.engine import Engine


def engine_of(manager: Engine, node: str) -> Endpoint:
    """The engine of the node that the swarm calls `node`, reached as the manager is: by ssh, or by TCP with TLS.

    From a local manager no other node can be reached. Raises UsageError where there is no such node, or no way to it.
    """
    with contextlib.closing(manager.client()) as api:
        own = str(api.info()["Swarm"]["NodeID"])
        nodes = {str(found["Description"]["Hostname"]): found for found in api.nodes()}
    if node not in nodes:
        raise UsageError(f"The swarm has no node {node!r}; choose one of: {', '.join(sorted(nodes))}.")
    if nodes[node]["ID"] == own:
        return manager.endpoint
    address = address_of(nodes[node])
    found = manager.endpoint.at(address)
    if found is None:
        raise UsageError(
            f"Node {node} ({address}) cannot be reached from here: {manager.endpoint.named_by} names a socket of this "
            f"machine. Set DOCKER_HOST to a manager, ssh://USER@ADDRESS or tcp:// with TLS; or work on {node} itself."
        )
    return found


def address_of(node: dict[str, Any]) -> str:
    """A node's address, as the swarm lists the node."""
    # A leader's own Status.Addr can read 0.0.0.0 for a moment.
    manager = str((node.get("ManagerStatus") or {}).get("Addr", ""))
    return manager.rpartition(":")[0].strip("[]") or str(node["Status"].get("Addr", ""))
