"""What runs becomes what was asked for: members of clusters one by one, the rest at once, the application by canary."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from infra import names
from infra import outputs as keys
from infra.spec import DeploymentPlan
from ops import console, looking
from ops.errors import DeployError
from ops.stack import canary, metrics, progress, rolling, target
from ops.stack.events import EventLog
from ops.stack.progress import Steps
from ops.stack.pulumi import Pulumi
from ops.stack.rolling import Clusters
from ops.stack.state import State

_FORCE = "Repair that first; with --force the deployment goes on all the same."
# A replica that joins again after a restart, or a role that moves, is in its place within seconds.
_LOOK_SECONDS = 20.0


class UpdateError(DeployError):
    """Raised when Pulumi failed. `log` has what it did, `errors` its own words, `objection` the canary's if any."""

    def __init__(self, log: EventLog, errors: str, objection: str | None = None) -> None:
        super().__init__(errors)
        self.log, self.errors, self.objection = log, errors, objection


def guard(clusters: Clusters, *, force: bool) -> None:
    """Raises DeployError where a cluster is degraded and stays so: a deployment on top of that can take it down."""
    found = clusters.problems() if force else looking.until_none(clusters.problems, _LOOK_SECONDS, indent="  ")
    if found and not force:
        raise DeployError("\n".join(["Nothing was touched, because what runs is degraded:", *found, _FORCE]))
    for line in found:
        console.say(f"  going on, by --force, although {line}")


def run(
    pulumi: Pulumi, plan: DeploymentPlan, state: State, clusters: Clusters | None, *, refresh: bool, steps: Steps
) -> EventLog:
    """Deploys, with care for `clusters`; gives what was done, updates of members included.

    Raises UpdateError.
    """
    if refresh and plan.nodes > 1:
        # A run of its own: with `up --refresh` the rules would also judge what this deployment is about to remove.
        with steps.step("Compare with what runs"):
            state = _refreshed(pulumi, state)
        refresh = False
    option = "--refresh" if refresh else "--refresh=false"
    members: list[EventLog] = []
    if clusters is not None:
        with steps.step("See what changes"):
            changes = _preview(pulumi, state, option)
        work = rolling.plan(plan, changes.changes)
        if work.is_needed:
            with steps.step(f"Update {len(work.members)} cluster members, one at a time"):
                rolling.update(
                    work,
                    clusters,
                    lambda urns: members.append(_without(pulumi, state, urns)),
                    lambda line: console.say(f"  {line}"),
                )
    with steps.step("Deploy"):
        log = _everything(pulumi, plan, state, option)
    for done in reversed(members):
        log.follow(done)
    return log


def _refreshed(pulumi: Pulumi, state: State) -> State:
    log = EventLog()
    with progress.watching(log) as on_poll:
        result = pulumi.stream("refresh", (), log, state.salt, on_poll)
    if result.code or log.failures:
        raise UpdateError(log, result.errors)
    return pulumi.state() or state


def _preview(pulumi: Pulumi, state: State, option: str) -> EventLog:
    log = EventLog()
    with progress.watching(log) as on_poll:
        result = pulumi.preview([option], log, state, on_poll)
    if result.code or log.failures:
        raise UpdateError(log, result.errors)
    return log


def _without(pulumi: Pulumi, state: State, urns: Sequence[str]) -> EventLog:
    """Pulumi on everything but these. Not judged again: the preview was, and the rules need to see the whole stack."""
    log = EventLog(progress.show)
    with progress.watching(log) as on_poll:
        result = pulumi.up_without(urns, log, state.salt, on_poll)
    if result.code or log.failures:
        raise UpdateError(log, result.errors)
    return log


def _everything(pulumi: Pulumi, plan: DeploymentPlan, state: State, option: str) -> EventLog:
    log = EventLog(progress.show)
    with _canary(pulumi, plan, state) as watch, progress.watching(log) as on_poll:
        result = pulumi.up([option], log, state, on_poll)
        taken_back = watch.see_through(_converge_seconds(plan)) if watch and not result.code else None
    objection = (watch.objection if watch else None) or taken_back
    if result.code or log.failures or objection:
        raise UpdateError(log, result.errors, objection)
    if not log.changed:
        console.say("  no changes")
    return log


def _converge_seconds(plan: DeploymentPlan) -> float:
    return next(service.converge_timeout_seconds for service in plan.services if service.name == names.APP)


def _canary(
    pulumi: Pulumi, plan: DeploymentPlan, state: State
) -> contextlib.AbstractContextManager[canary.Watch | None]:
    """A watch over the application's update, where it is up already and its updates wait between replicas."""
    service = next((service for service in plan.services if service.name == names.APP), None)
    runs = any(resource.docker_name == canary.application(plan.instance) for resource in state.resources)
    if service is None or not runs or not service.update.delay_seconds:
        return contextlib.nullcontext()
    outputs: Mapping[str, Any] = pulumi.outputs(secrets=True)
    if keys.OPERATOR_PASSWORD not in outputs:
        # No run has ever come to its end: there is no good version to compare with.
        return contextlib.nullcontext()
    return canary.Watch(
        lambda: target.endpoint_of(pulumi.stack),
        canary.application(plan.instance),
        metrics.asker(pulumi.stack, outputs),
        service.update.delay_seconds,
    )
