"""Every container is what the plan says: image, user, rights, mounts, limits."""

from __future__ import annotations

import pytest

from infra import names
from infra import outputs as keys
from ops.stack import settings, swarm
from ops.stack.reference import resolve
from tests.stack import containers, contract
from tests.stack.instance import Instance

SERVICES = [service.name for service in settings.plan_of(resolve("staging")).services]

pytestmark = pytest.mark.parametrize("service", SERVICES)


def test_there_are_as_many_as_were_asked_for(stack: Instance, service: str) -> None:
    assert len(containers.of(stack, service)) == stack.outputs()[keys.SERVICES][service]["replicas"]


@pytest.mark.parametrize("check", contract.CHECKS)
def test_container(stack: Instance, service: str, check: str) -> None:
    for subject in _subjects(stack, service):
        contract.CHECKS[check](subject)


def _subjects(stack: Instance, service: str) -> list[contract.Subject]:
    outputs, plan = stack.outputs(), stack.plan
    spec = next(spec for spec in plan.services if spec.name == service)
    with swarm.client() as api:
        told = api.inspect_service(names.physical(stack.prefix, service))["Spec"]  # type: ignore[no-untyped-call]
    return [
        contract.Subject(
            container=container,
            inner=contract.look_inside(container, spec),
            spec=spec,
            swarm=told,
            image=outputs[keys.SERVICES][service]["image"],
            prefix=stack.prefix,
            networks=outputs[keys.NETWORKS],
            configs={config.name: config.content for config in plan.configs},
        )
        for container in containers.of(stack, service)
    ]
