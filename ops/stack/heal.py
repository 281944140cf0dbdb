"""Puts right what an interrupted run left: operations that began and whose end nobody saw."""

from __future__ import annotations

import docker

from ops import console
from ops.errors import DeployError, StateError
from ops.stack import swarm
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
_VOLUME = "docker:index/volume:Volume"


def interrupted(stack: Stack, state: State) -> StateError:
    """The error for operations left open, which says how to go on."""
    listed = ", ".join(operation.text for operation in state.pending)
    return StateError(
        f"An earlier run on stack {stack.name} was interrupted while {listed}; "
        f"run `./pidea up {stack.arguments} --refresh`, which finds out what became of it and goes on."
    )


def heal(pulumi: Pulumi, state: State, instance: str) -> State:
    """Settles the open operations and gives the state after it.

    A half-made service, network, secret or config is removed: the next step makes it anew. A volume may hold data: it
    is adopted. Everything else that Pulumi has no record of is harmless. Nothing without our label is touched.
    """
    creating = [operation for operation in state.pending if operation.operation == CREATING]
    adopt = _settle(creating, instance)
    options = [argument for urn, name in adopt for argument in ("--import-pending-creates", f"{urn} {name}")]
    options += ["--clear-pending-creates"] if creating else []
    log = EventLog()
    result = pulumi.stream("refresh", options, log, state.salt)
    healed = pulumi.state()
    if result.code or healed is None or healed.pending:
        reasons = "; ".join(failure.message for failure in log.failures) or result.errors.strip()
        raise DeployError(f"The interrupted run could not be settled: {reasons}")
    for operation in state.pending:
        console.say(f"  settled: {operation.text}")
    return healed


def _settle(creating: list[PendingOperation], instance: str) -> list[tuple[str, str]]:
    adopt: list[tuple[str, str]] = []
    if not any(operation.resource.docker_name for operation in creating):
        return adopt
    with swarm.client() as api:
        for operation in creating:
            resource = operation.resource
            if resource.type == _VOLUME and _is_volume_ours(api, resource.docker_name, instance):
                adopt.append((resource.urn, resource.docker_name))
            elif resource.type in _REMOVERS:
                _remove(api, resource.type, resource.docker_name, instance)
    return adopt


def _is_volume_ours(api: docker.APIClient, name: str, instance: str) -> bool:
    try:
        labels = api.inspect_volume(name).get("Labels") or {}
    except docker.errors.NotFound:
        return False
    return bool(labels.get(swarm.INSTANCE_LABEL) == instance)


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
