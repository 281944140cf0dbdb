"""What `up` asks of a swarm's nodes before it touches anything: a number each, the data that belongs there, images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from ops.errors import HostError
from ops.lab import endpoint, members, record
from ops.lab.reference import Lab
from ops.stack import pulls, slots, swarm
from ops.stack.reference import Stack
from tests.lab.conftest import inside

pytestmark = pytest.mark.lab


@pytest.fixture
def stack(lab: Lab) -> Stack:
    return Stack(environment="prod", instance=lab.name, lab=lab.name, local=lab.local)


@pytest.fixture
def plan(lab: Lab) -> DeploymentPlan:
    return build_plan(
        StackSettings.from_config(
            {
                "pidea:environment": "prod",
                "pidea:instance": "places",
                "pidea:nodes": 3,
                "pidea:redis": {"replicas": 2},
                "pidea:registry": record.require(lab).registry,
            }
        )
    )


@contextlib.contextmanager
def labelled(lab: Lab, node: str, slot: str | None) -> Iterator[None]:
    """The node with another number, or with none; as it was afterwards."""
    with swarm.client(where=endpoint.of(lab)) as api:
        found = next(one for one in members.nodes(lab) if one["Description"]["Hostname"] == node)
        spec: Any = {**found["Spec"], "Labels": {} if slot is None else {members.NODE_LABEL: slot}}
        api.update_node(found["ID"], found["Version"]["Index"], spec)
    try:
        yield
    finally:
        members.label(lab, record.require(lab))


@contextlib.contextmanager
def volume(lab: Lab, slot: int, name: str) -> Iterator[None]:
    with members.engine(lab, slot) as api:
        api.create_volume(name)
        try:
            yield
        finally:
            api.remove_volume(name)


def test_a_lab_is_as_it_should_be(stack: Stack, plan: DeploymentPlan) -> None:
    slots.check(stack, plan)
    pulls.check(stack, plan)


def test_a_node_without_its_label(lab: Lab, stack: Stack, plan: DeploymentPlan) -> None:
    with labelled(lab, "n3", None), pytest.raises(HostError, match=r"No node of the swarm has the label .*=3"):
        slots.check(stack, plan)


def test_data_on_a_node_that_has_another_number(
    host: docker.APIClient, lab: Lab, stack: Stack, plan: DeploymentPlan
) -> None:
    backups = names.physical(plan.instance, names.BACKUP_DATA)
    with volume(lab, 3, backups):
        slots.check(stack, plan)
    with volume(lab, 1, backups):
        # As Pulumi makes it on the manager.
        slots.check(stack, plan)
        place = f"$(docker volume inspect -f '{{{{.Mountpoint}}}}' {backups})"
        assert inside(host, lab, 1, f"echo kept >{place}/file")[0] == 0
        with pytest.raises(HostError, match=f"the volume {backups} is on n1"):
            slots.check(stack, plan)


def test_a_node_that_cannot_pull(host: docker.APIClient, lab: Lab, stack: Stack, plan: DeploymentPlan) -> None:
    port = record.require(lab).registry.rpartition(":")[2]
    rule = f"OUTPUT -o lo -p tcp --dport {port} -j REJECT --reject-with tcp-reset"
    assert inside(host, lab, 2, f"iptables -I {rule}")[0] == 0
    try:
        with pytest.raises(HostError) as caught:
            pulls.check(stack, plan)
        pulls.check(stack, plan, force=True)
    finally:
        assert inside(host, lab, 2, f"iptables -D {rule}")[0] == 0
    told = str(caught.value)
    assert "on 1 of 3 nodes" in told
    assert "\nn2: " in told
    assert "connection refused" in told
    pulls.check(stack, plan)
