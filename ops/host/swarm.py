"""The swarm: one is made where there is none; an existing one is used as it is, never left or made anew."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import docker
import requests

from ops.errors import HostError
from ops.host.engine import Engine

# A swarm of one needs no other address, and this one every machine has exactly once, also one with several
# network cards, where Docker refuses to choose. Nothing of the swarm can be reached from outside.
_ADDRESS = "127.0.0.1"
_INIT_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Swarm:
    """The swarm of which the engine is a manager. `made` tells whether this call made it."""

    node_id: str
    nodes: int
    made: bool = False


def find(engine: Engine) -> Swarm | None:
    """The engine's swarm, None where it is in none. HostError where it is in one that cannot be used from here."""
    with contextlib.closing(engine.client()) as client:
        swarm = client.info().get("Swarm") or {}
    state = swarm.get("LocalNodeState", "inactive")
    if state == "inactive":
        return None
    if state == "locked":
        raise HostError("Docker's swarm is locked. Unlock it (docker swarm unlock), then run this again.")
    if state != "active":
        said = f": {swarm['Error'].splitlines()[0]}" if swarm.get("Error") else ""
        raise HostError(
            f"Docker's swarm is in state {state}{said}. Repair it (docker info, Docker's log), then run this again."
        )
    if not swarm.get("ControlAvailable"):
        managers = ", ".join(str(manager["Addr"]) for manager in swarm.get("RemoteManagers") or []) or "unknown"
        raise HostError(
            "This engine is a worker of a swarm, and only managers can deploy. "
            f"Set DOCKER_HOST to one of its managers ({managers}), then run this again."
        )
    return Swarm(str(swarm.get("NodeID", "")), int(swarm.get("Nodes", 1)))


def ensure(engine: Engine) -> Swarm:
    """The engine's swarm, made with this one node where there is none."""
    if found := find(engine):
        return found
    with contextlib.closing(engine.client(_INIT_TIMEOUT_SECONDS)) as client:
        try:
            client.init_swarm(advertise_addr=_ADDRESS, listen_addr=f"{_ADDRESS}:2377")
        except (docker.errors.APIError, requests.exceptions.RequestException) as error:
            if found := find(engine):  # somebody else made it at the same moment
                return found
            said = error.explanation if isinstance(error, docker.errors.APIError) else str(error)
            raise HostError(
                f"Docker could not make a swarm: {said}. Free port 2377 if that is what it misses, or make one "
                "yourself (docker swarm init), then run this again."
            ) from error
    made = find(engine)
    if made is None:
        raise HostError("Docker made a swarm and left it again. See Docker's log, then run this again.")
    return Swarm(made.node_id, made.nodes, made=True)
