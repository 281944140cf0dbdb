"""Takes a node out for a while, and lets it in again: its primaries are handed over before its tasks end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import docker

from infra import names
from infra.spec import DeploymentPlan
from ops.cluster import postgres, redis, redis_hand_over
from ops.cluster.members import Members
from ops.errors import DeployError, UsageError
from ops.stack import settings, swarm, target
from ops.stack.reference import Stack

_FORCE = "Repair that first; with --force the node is taken out all the same, without a hand-over."
_END_SECONDS = 120.0
# A standby that was away for long is copied anew.
_RETURN_SECONDS = 600.0
_POLL_SECONDS = 1.0

Say = Callable[[str], None]


def drain(stack: Stack, node: str, say: Say, *, force: bool = False) -> None:
    """Hands over what is primary on the node, then ends its tasks. Returns when none of the stack's runs there.

    Raises UsageError for a node that is not there, DeployError where a cluster is degraded (before anything is touched,
    unless `force`) or a hand-over failed.
    """
    plan = settings.plan_of(stack)
    _require(stack, node)
    if plan.nodes < 2:
        raise UsageError(f"{stack.name} has one node; taken out, nothing of it would run.")
    found = problems(stack, plan)
    if found and not force:
        raise DeployError("\n".join(["Nothing was touched, because what runs is degraded:", *found, _FORCE]))
    for line in found:
        say(f"going on, by --force, although {line}")
    if not found:
        _hand_over(stack, plan, node, say)
    say(f"ending the tasks on {node}")
    _set(stack, node, "drain")
    _wait(lambda: _running_on(stack, plan, node), f"Still on {node}", _END_SECONDS)


def admit(stack: Stack, node: str, say: Say) -> None:
    """Lets the node in again. Returns when the stack is whole. Raises UsageError, DeployError."""
    plan = settings.plan_of(stack)
    _require(stack, node)
    _set(stack, node, "active")
    say(f"{node} is let in; waiting until all is well")
    _wait(lambda: problems(stack, plan), f"{node} is let in, but", _RETURN_SECONDS)


def problems(stack: Stack, plan: DeploymentPlan) -> list[str]:
    """What of the stack is not whole: tasks that are missing, and the clusters' own complaints."""
    with swarm.client(where=target.endpoint_of(stack)) as api:
        running = swarm.services(api, plan.instance)
    missing = [
        f"{spec.name}: {len(service.running) if service else 0} of {spec.replicas} tasks run"
        for spec in plan.services
        if (service := running.get(names.physical(plan.instance, spec.name))) is None
        or len(service.running) < spec.replicas
    ]
    if missing:
        return missing
    run = _members(stack, plan).run
    layout = redis.layout(plan)
    found = redis.problems(layout, run) if layout else []
    servers = postgres.servers(plan)
    return [*found, *(postgres.problems(postgres.look_at_all(run, servers)) if servers else [])]


def _hand_over(stack: Stack, plan: DeploymentPlan, node: str, say: Say) -> None:
    members = _members(stack, plan)
    layout, servers = redis.layout(plan), postgres.servers(plan)
    if layout and (chief := redis.primary(layout, members.run)) and members.place(chief).node == node:
        done = redis_hand_over.hand_over(layout, members.run)
        say(f"Redis was handed over from {done.old} to {done.new} in {done.milliseconds} ms")
    leader = postgres.primary_of(postgres.look_at_all(members.run, servers)) if servers else None
    if leader is not None and members.place(leader.name).node == node:
        postgres.hand_over(members.run, servers, say=say)


def _members(stack: Stack, plan: DeploymentPlan) -> Members:
    return Members(plan.instance, target.endpoint_of(stack), lambda node: target.engine_of(stack, node))


def _require(stack: Stack, node: str) -> None:
    with swarm.client(where=target.endpoint_of(stack)) as api:
        known = sorted(str(found["Description"]["Hostname"]) for found in api.nodes())
    if node not in known:
        raise UsageError(f"There is no node {node!r}; choose one of: {', '.join(known)}.")


def _set(stack: Stack, node: str, availability: str) -> None:
    with swarm.client(where=target.endpoint_of(stack)) as api:
        found = _node(api, node)
        spec: Any = {**found["Spec"], "Availability": availability}
        api.update_node(found["ID"], found["Version"]["Index"], spec)


def _running_on(stack: Stack, plan: DeploymentPlan, node: str) -> list[str]:
    with swarm.client(where=target.endpoint_of(stack)) as api:
        node_id = _node(api, node)["ID"]
        services = swarm.services(api, plan.instance).values()
    return [
        service.name
        for service in services
        for task in service.tasks
        if task.node_id == node_id and task.state == "running"
    ]


def _node(api: docker.APIClient, node: str) -> dict[str, Any]:
    return next(found for found in api.nodes() if found["Description"]["Hostname"] == node)


def _wait(look: Callable[[], list[str]], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while found := look():
        if time.monotonic() > deadline:
            raise DeployError(f"{what} after {seconds:.0f} s: {'; '.join(found)}. See `./pidea status` for why.")
        time.sleep(_POLL_SECONDS)
