"""`destroy`: removes what a stack runs, and only when asked for also its data."""

from __future__ import annotations

import time

from ops import console
from ops.errors import DeployError
from ops.stack import copies, environment, heal, instances, lock, problems, progress, settings, swarm, target
from ops.stack.events import EventLog
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack
from ops.stack.state import State

# Swarm frees networks and volumes some seconds after the last container on them has ended, and the provider waits for
# a container's end only as long as its grace period.
_ATTEMPTS = 5
_BETWEEN_ATTEMPTS_SECONDS = 3.0
_STILL_IN_USE = ("in use", "active endpoints", "is being used", "deadline exceeded")
_GONE_WITHIN_SECONDS = 60.0


def destroy(stack: Stack, *, with_data: bool) -> int:
    """Removes the stack's services, networks, secrets and configs; returns how many resources were removed.

    With `with_data` also its volumes, its state, and an instance's folder: nothing of it is left. Without, volumes and
    their passwords stay for the next `up`. Raises StateError, DeployError.
    """
    with lock.exclusive(stack):
        pulumi = Pulumi(stack, environment.tools())
        for found in problems.locks(stack, pulumi.backend):
            raise problems.locked(stack, found)
        state = pulumi.state()
        if state is None:
            console.say(f"  there is no stack {stack.name}; nothing to remove")
            if with_data:
                instances.remove(stack)
            return 0
        instance = str(settings.read_config(stack).get("pidea:instance", ""))
        if state.pending:
            state = heal.heal(pulumi, state, instance)
        if with_data and any(resource.protected for resource in state.resources):
            pulumi.unprotect()
        copies.remove_all(stack, instance)
        removed = _destroy(pulumi, state, with_data=with_data)
        _wait_until_gone(stack, instance)
        if with_data:
            pulumi.remove()
    if with_data:
        instances.remove(stack)
    return removed


def _destroy(pulumi: Pulumi, state: State, *, with_data: bool) -> int:
    removed = 0
    options = ["--refresh"] if with_data else ["--refresh", "--exclude-protected"]
    for attempt in range(1, _ATTEMPTS + 1):
        log = EventLog(progress.show)
        with progress.watching(log) as on_poll:
            result = pulumi.stream("destroy", options, log, state.salt, on_poll)
        removed += log.changed.get("delete", 0)
        if result.code == 0 and not log.failures:
            return removed
        said = "\n".join(failure.message for failure in log.failures) or result.errors.strip()
        if attempt == _ATTEMPTS or not any(sign in said for sign in _STILL_IN_USE):
            break
        console.say("  something is still in use; trying again")
        time.sleep(_BETWEEN_ATTEMPTS_SECONDS)
    raise DeployError(f"Removing stack {pulumi.stack.name} failed; end what uses it and run the command again:\n{said}")


def _wait_until_gone(stack: Stack, instance: str) -> None:
    """Waits for the last containers and networks, so that names and subnets are free when the command returns."""
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    label = {"label": f"{swarm.INSTANCE_LABEL}={instance}"}
    with swarm.client(where=target.endpoint_of(stack)) as api:
        while time.monotonic() < deadline:
            containers = api.containers(all=True, filters={"name": f"{instance}-"})
            ours = [
                item
                for item in containers
                if (item.get("Labels") or {}).get("com.docker.swarm.service.name", "").startswith(f"{instance}-")
            ]
            if not ours and not api.networks(filters=label):
                return
            time.sleep(0.5)
