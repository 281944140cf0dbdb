"""Every service of prod runs where the plan says and as often as it says, each container as the contract wants it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from infra import names
from infra import outputs as keys
from tests.prod.planned import PLAN, SERVICES
from tests.stack.cluster import Cluster, slot_of
from tests.stack.contract import CHECKS, Subject
from tests.stack.prod import Prod


@pytest.mark.parametrize("name", SERVICES)
def test_tasks_are_where_the_plan_wants_them(cluster: Cluster, name: str) -> None:
    service = cluster.service(name)
    assert [task.state for task in service.tasks] == ["running"] * service.spec.replicas
    assert len(service.containers) == service.spec.replicas
    nodes = Counter(task.node for task in service.tasks)
    if slot := slot_of(service.spec):
        assert set(nodes) == {cluster.node_in(slot).name}
    if most := service.spec.placement.max_replicas_per_node:
        assert max(nodes.values()) <= most


@pytest.mark.parametrize("name", SERVICES)
def test_the_image_is_named_by_its_digest(prod: Prod, cluster: Cluster, name: str) -> None:
    asked = str(prod.outputs()[keys.SERVICES][name]["image"])
    assert "@sha256:" in asked
    assert cluster.service(name).details["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == asked


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", SERVICES)
def test_container_on_its_node(subjects: Mapping[str, Sequence[Subject]], name: str, check: str) -> None:
    assert subjects[name]
    for subject in subjects[name]:
        CHECKS[check](subject)


def test_what_keeps_data_is_bound_to_its_node(cluster: Cluster) -> None:
    """Everything with a volume but the application, whose cache may be lost."""
    floating = {s.name for s in PLAN.services if s.volumes and slot_of(s) is None}
    assert floating == {names.APP}


def test_users_requests_survive_the_loss_of_any_node(cluster: Cluster) -> None:
    assert {task.node for task in cluster.service(names.EDGE).tasks} == set(cluster.nodes)
    assert len({task.node for task in cluster.service(names.APP).tasks}) > 1


def test_nothing_runs_that_the_plan_does_not_have(cluster: Cluster) -> None:
    assert {container.service for one in cluster.containers.values() for container in one} == set(SERVICES)
