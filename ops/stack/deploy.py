"""`up`: settings → setup → preflight → Pulumi → verification. Read `deploy` top to bottom."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from infra import outputs as keys
from infra.names import physical
from infra.plan.images import PINS
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from ops import console
from ops.cluster.clusters import StackClusters
from ops.cluster.members import Members
from ops.errors import DeployError
from ops.stack import (
    certificates,
    door,
    engines,
    failure,
    heal,
    heartbeat,
    history,
    instances,
    lock,
    logins,
    marks,
    metrics,
    pages,
    preflight,
    problems,
    progress,
    pulls,
    rotation,
    settings,
    slo,
    slots,
    swarm,
    target,
    update,
    verify,
    versions,
)
from ops.stack.events import EventLog
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack
from ops.stack.state import State
from ops.upgrade import images

_SECRET = frozenset({keys.OPERATOR_PASSWORD, keys.API_TOKEN})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployed:
    """A deployment that went through. `changes` counts resources by operation, empty where nothing changed."""

    stack: Stack
    changes: Mapping[str, int]
    outputs: Mapping[str, Any]
    steps: Sequence[tuple[str, float]]

    def as_json(self) -> dict[str, Any]:
        """For scripts: plain values only, nothing secret."""
        return {
            "stack": self.stack.name,
            "changes": dict(self.changes),
            "urls": urls(self.stack, self.outputs),
            "services": self.outputs.get(keys.SERVICES, {}),
            "steps": [{"step": title, "seconds": round(seconds, 1)} for title, seconds in self.steps],
        }


def deploy(stack: Stack, *, refresh: bool | None = None, break_lock: bool = False, force: bool = False) -> Deployed:
    """Makes the stack what its configuration says.

    `refresh` None compares with what really runs, and stops where an earlier run was interrupted; True settles such a
    run too; False trusts the state. `force` goes on although a cluster is degraded or an error budget is spent. Raises
    UsageError, HostError, StateError before anything is touched, DeployError after.
    """
    from ops.host import setup

    steps = progress.Steps()
    builder = target.builder_of(stack)  # where the lab is not there, nothing is made, not even the lock's folder
    with lock.exclusive(stack):
        instances.ensure(stack)
        plan = settings.plan_of(stack)
        with steps.step("Prepare this machine"):
            ready = setup.run(where=builder)
        pulumi = Pulumi(stack, ready.toolchain)
        with steps.step("Check state, nodes, ports, disk and memory"):
            state = open_state(pulumi, break_lock=break_lock)
            if state.pending and not refresh:
                raise heal.interrupted(stack, state)
            rotation.check(plan, state)
            versions.check(stack, plan, state, _members(stack, plan).run)
            where, machine = target.endpoint_of(stack), target.builder_of(stack)
            preflight.check(plan, state.docker_names, where=where, machine=machine)
            # What is gone back to has run on the nodes that are left: they have its images.
            anyway = force or history.is_restoring()
            slots.check(stack, plan, force=anyway)
            pulls.check(stack, plan, force=anyway)
            heartbeat.advise(stack, plan)
        certificates.ensure(pulumi, state, plan)
        pages.ensure(pulumi, state, plan)
        logins.ensure(pulumi, state, plan)
        if exact := [spec.name for spec in plan.images if spec.build_args.get(PINS)]:
            with steps.step("See that Debian has the versions that are named"):
                base_image = StackSettings.from_config(settings.read_config(stack)).base_image
                images.build(plan, exact, base_image, machine or where, lambda line: console.say(f"  {line}"))
        if state.pending:
            with steps.step("Settle the interrupted run"):
                state = heal.heal(pulumi, state, plan.instance)
        clusters = _clusters(stack, plan)
        if clusters is not None:
            with steps.step("Check the clusters"):
                update.guard(clusters, force=force)
        # Going back is what a spent budget asks for.
        if plan.held_by_budget and history.deployments(stack) and not history.is_restoring():
            with steps.step("Check the error budgets"):
                known = pulumi.outputs(secrets=True)
                if keys.OPERATOR_PASSWORD in known:  # else nothing runs, as after `destroy`
                    slo.guard(metrics.asker(stack, known), force=force)
        with history.attempt(stack):
            log = _update(pulumi, plan, state, clusters, refresh=refresh is not False, steps=steps)
            with steps.step("Verify what runs"):
                known = pulumi.outputs(secrets=True)
                outputs = {key: value for key, value in known.items() if key not in _SECRET}
                _verify(stack, outputs, plan, log)
        if log.changed:
            marks.deployed(door.caller(stack, known), history.deployments(stack)[-1])
    return Deployed(stack=stack, changes=log.changed, outputs=outputs, steps=steps.taken)


def open_state(pulumi: Pulumi, *, break_lock: bool = False) -> State:
    """The stack's state, made where there is none yet. Raises StateError where it is locked or cannot be read."""
    if break_lock:
        pulumi.cancel()
    for found in problems.locks(pulumi.stack, pulumi.backend):
        raise problems.locked(pulumi.stack, found)
    state = pulumi.state()
    if state is not None and not state.is_ordered:
        pulumi.repair()
        state = pulumi.state()
    return state or pulumi.init()


def urls(stack: Stack, outputs: Mapping[str, Any]) -> dict[str, str]:
    """Where the stack answers, as this machine reaches it."""
    found = {}
    scheme, host = "https" if outputs.get(keys.EDGE_TLS) else "http", target.host_of(stack)
    if keys.EDGE_PORT in outputs:
        found["app"] = f"{scheme}://{host}:{int(outputs[keys.EDGE_PORT])}"
    if keys.OPERATOR_PORT in outputs:
        found["operators"] = f"{scheme}://{host}:{int(outputs[keys.OPERATOR_PORT])}"
    return found


def _members(stack: Stack, plan: DeploymentPlan) -> Members:
    return Members(plan.instance, target.endpoint_of(stack), lambda node: target.engine_of(stack, node))


def _clusters(stack: Stack, plan: DeploymentPlan) -> StackClusters | None:
    """The clusters to be careful with: none on one node, nor before a first deployment has gone through."""
    return StackClusters(stack, plan) if plan.nodes > 1 and history.deployments(stack) else None


def _update(
    pulumi: Pulumi,
    plan: DeploymentPlan,
    state: State,
    clusters: StackClusters | None,
    *,
    refresh: bool,
    steps: progress.Steps,
) -> EventLog:
    try:
        return update.run(pulumi, plan, state, clusters, refresh=refresh, steps=steps)
    except update.UpdateError as error:
        raise DeployError(_explain(pulumi.stack, plan, error)) from error


def _verify(stack: Stack, outputs: Mapping[str, Any], plan: DeploymentPlan, log: EventLog) -> None:
    wrong = verify.problems(outputs.get(keys.SERVICES, {}), plan.instance, target.endpoint_of(stack), stack=stack)
    if wrong:
        why = "".join(f"\n{explanation.text}" for explanation in _troubled(stack, plan, log))
        raise DeployError("What runs is not what was asked for:\n" + "\n".join(wrong) + why)


def _explain(stack: Stack, plan: DeploymentPlan, error: update.UpdateError) -> str:
    log = error.log
    lines = [f"The deployment of {stack.name} failed."]
    if error.objection:
        lines.append(f"The canary of the application was taken back: {error.objection}.")
    lines += [f"{failed.subject}: {failed.message}" if failed.urn else failed.message for failed in log.failures]
    if not log.failures and error.errors.strip():
        lines.append(error.errors.strip())
    lines += [explanation.text for explanation in _troubled(stack, plan, log)]
    again = f"`./pidea up {stack.arguments}`"
    return "\n".join([*lines, f"Repair the cause, then run {again} again: it goes on from what is there."])


def _troubled(stack: Stack, plan: DeploymentPlan, log: EventLog) -> list[failure.Explanation]:
    """The services that this run failed on, and those that are not complete, each explained."""
    failed = {physical(plan.instance, change.name.removeprefix("service-")) for change in log.changes if change.failed}
    with swarm.client(where=target.endpoint_of(stack)) as api, engines.of(stack, api) as engine_of:
        return [
            failure.explain(engine_of, service)
            for name, service in swarm.services(api, plan.instance).items()
            if name in failed or failure.is_in_trouble(service)
        ]
