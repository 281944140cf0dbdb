"""Settings to plan. Pure: reads the repository's own files and nothing else, and never imports Pulumi."""

from __future__ import annotations

from infra.plan import app, backup, controller, edge, images, networks, observability, postgres, redis
from infra.plan.check import check
from infra.settings import StackSettings
from infra.spec import DeploymentPlan


def build_plan(settings: StackSettings) -> DeploymentPlan:
    """The whole stack as data. Raises PlanError where its parts contradict each other."""
    subsystems = (
        redis.plan(settings),
        *((controller.plan(settings),) if settings.redis.replicas else ()),
        postgres.plan(settings),
        app.plan(settings),
        edge.plan(settings),
        observability.plan(settings),
        backup.plan(settings),
    )
    plan = DeploymentPlan(
        environment=settings.environment,
        instance=settings.instance,
        nodes=settings.nodes,
        secrets_version=settings.secrets_version,
        registry=settings.registry,
        networks=networks.plan(settings),
        images=images.plan(settings, {service.image for part in subsystems for service in part.services}),
        subsystems=subsystems,
        held_by_budget=settings.slo.hold_deployments,
    )
    check(plan)
    return plan
