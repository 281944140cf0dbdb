"""When a swarm takes a silent node for lost: Docker's own 15 s are short where services are bound to nodes."""

from __future__ import annotations

from typing import Any, Final

import docker

from infra.spec import DeploymentPlan
from ops import console
from ops.stack import swarm, target
from ops.stack.reference import Stack

# Swarm waits for three of them. A node that is cut off for less goes on with what runs on it; else all of that is ended
# when the node is back, and started anew at once, for which nothing is gained: only replicas of the application may run
# elsewhere, and the edges do without those of a silent node after a second.
SECONDS: Final = 15


def spec(api: docker.APIClient) -> dict[str, Any]:
    """Of a swarm that is made with this heartbeat."""
    return dict(api.create_swarm_spec(dispatcher_heartbeat_period=SECONDS * 10**9))


def advise(stack: Stack, plan: DeploymentPlan) -> None:
    """Says so where a swarm of several nodes has a shorter one. It is not the stack's to change."""
    if plan.nodes == 1:
        return
    with swarm.client(where=target.endpoint_of(stack)) as api:
        seconds = api.inspect_swarm()["Spec"]["Dispatcher"]["HeartbeatPeriod"] / 10**9
    if said := advice(seconds):
        console.say(f"[yellow]![/yellow] {said}")


def advice(seconds: float) -> str:
    """On a swarm with that heartbeat; empty where there is none to give."""
    if seconds >= SECONDS:
        return ""
    return (
        f"The swarm takes a node that it has not heard of for {3 * seconds:g} s for lost, and starts all that runs"
        f" there anew when it is back. Better: docker swarm update --dispatcher-heartbeat {SECONDS}s"
    )
