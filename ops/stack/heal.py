"""Puts right what an interrupted run left: operations that began and whose end nobody saw."""

from __future__ import annotations

import docker

from ops import console
from ops.errors import DeployError, StateError
from ops.stack import swarm, target
from ops.stack.events import EventLog
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack
from ops.stack.state import CREATING, PendingOperation, State

_REMOVERS = {
    "docker:index/service:Service": "remove_service",
    "docker:index/network:Network": "remove_network",
    "docker:index/secret:Secret": "remove_secret",
    "docker:index/serviceConfig:ServiceConfig": "remove_config",
}


def interrupted(stack: Stack, state: State) -> StateError:
    """The error for operations left open, which says how to go on."""
    listed = ", ".join(operation.text for operation in state.pending)
    return StateError(
        f"An earlier run on stack {stack.name} was interrupted while {listed}; "
        f"run `./pidea up {stack.arguments} --refresh`, which finds out what became of it and goes on."
    )


def heal(pulumi: Pulumi, state: State, instance: str) -> State:
    """Settles the open operations and gives the state after it.

    A half-made service, network, secret or config is removed: the next step makes it anew. A volume stays, and so does
    everything without our label: making a volume that exists takes it as it is.
    """
    creating = [operation for operation in state.pending if operation.operation == CREATING]
    _remove_half_made(pulumi.stack, creating, instance)
    options = ["--clear-pending-creates"] if creating else []
    log = EventLog()
    result = pulumi.stream("refresh", options, log, state.salt)
    healed = pulumi.state()
    if result.code or healed is None or healed.pending:
        reasons = "; ".join(failure.message for failure in log.failures) or result.errors.strip()
        raise DeployError(f"The interrupted run could not be settled: {reasons}")
    for operation in state.pending:
        console.say(f"  settled: {operation.text}")
    return healed


def _remove_half_made(stack: Stack, creating: list[PendingOperation], instance: str) -> None:
    half_made = [operation.resource for operation in creating if operation.resource.type in _REMOVERS]
    if not half_made:
        return
    with swarm.client(where=target.endpoint_of(stack)) as api:
        for resource in half_made:
            _remove(api, resource.type, resource.docker_name, instance)


def _remove(api: docker.APIClient, kind: str, name: str, instance: str) -> None:
    ours = {"label": f"{swarm.INSTANCE_LABEL}={instance}"}
    listed = {  # type: ignore[no-untyped-call]
        "docker:index/service:Service": lambda: api.services(filters=ours),  # type: ignore[no-untyped-call]
        "docker:index/network:Network": lambda: api.networks(filters=ours),
        "docker:index/secret:Secret": lambda: api.secrets(filters=ours),
        "docker:index/serviceConfig:ServiceConfig": lambda: api.configs(filters=ours),  # type: ignore[no-untyped-call]
    }[kind]()
    for item in listed:
        if (item.get("Name") or item["Spec"]["Name"]) == name:
            getattr(api, _REMOVERS[kind])(item.get("ID") or item["Id"])
