"""Whether every node can pull from the stack's registry, asked of the nodes' own engines. Nothing is pulled."""

from __future__ import annotations

import docker
import requests

from infra.spec import DeploymentPlan
from ops import console
from ops.errors import HostError
from ops.stack import engines, swarm, target
from ops.stack.reference import Stack

# No image has that name. A registry that says so was reached.
_REPOSITORY = "pidea/reach:check"


def check(stack: Stack, plan: DeploymentPlan, *, force: bool = False) -> None:
    """Raises HostError for the nodes whose engine does not reach the registry; one that cannot be asked is passed over.

    Swarm would leave their tasks `preparing` or `rejected`, after the first members had been changed. `force` goes on,
    for a node that has every image already.
    """
    if plan.nodes < 2 or plan.registry is None:
        return
    reference = f"{plan.registry}/{_REPOSITORY}"
    with swarm.client(where=target.endpoint_of(stack)) as api, engines.reachable(stack, api) as clients:
        names = {node["ID"]: str(node["Description"]["Hostname"]) for node in api.nodes()}
        found = {names[node]: said for node, client in clients.items() if (said := _trouble(client, reference))}
    if found:
        lines = [
            f"Images cannot be pulled from {plan.registry} on {len(found)} of {plan.nodes} nodes:",
            *(f"{name}: {said}" for name, said in sorted(found.items())),
        ]
        if not force:
            lines.append(
                "See to the network, the name and the certificate there, or set another pidea:registry; with --force "
                "it is tried all the same, for what the node has already."
            )
            raise HostError("\n".join(lines))
        for line in lines:
            console.say(f"  going on, by --force: {line}")


def _trouble(client: docker.APIClient, reference: str) -> str:
    """What the engine says about the registry; empty where it answered, be it that it has no such image."""
    try:
        client.inspect_distribution(reference)  # type: ignore[no-untyped-call] # its stubs lack it
    except docker.errors.APIError as error:
        return str(error.explanation) if error.is_server_error() else ""
    except requests.exceptions.RequestException as error:
        return f"its engine did not answer: {error}"
    return ""
