"""The parts of the prod stack as fixtures: each a function that takes the name that the plan or the swarm gives."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from infra import outputs as keys
from tests.stack.cluster import Cluster, Node, Service, Task
from tests.stack.contract import Subject, look_inside
from tests.stack.prod import Prod

_PARALLEL = 8


@pytest.fixture(scope="module")
def _looks() -> dict[str, Cluster]:
    return {}


@pytest.fixture
def cluster(prod: Prod, _looks: dict[str, Cluster]) -> Cluster:
    """The stack's swarm, as a look at the beginning of the file found it."""
    if "cluster" not in _looks:
        _looks["cluster"] = Cluster.look(prod)
    return _looks["cluster"]


@pytest.fixture
def node(cluster: Cluster) -> Callable[[str], Node]:
    """`node("n1")`."""
    return cluster.node


@pytest.fixture
def service(cluster: Cluster) -> Callable[[str], Service]:
    """`service("redis-1").task`."""
    return cluster.service


@pytest.fixture
def task(cluster: Cluster) -> Callable[[str], Task]:
    """`task("redis-1")`: the one task of a service that has one."""
    return lambda name: cluster.service(name).task


@pytest.fixture
def secret(cluster: Cluster) -> Callable[[str], Mapping[str, Any]]:
    """`secret("redis-acl")`: what the swarm tells of it."""
    return cluster.secret


@pytest.fixture
def overlay(cluster: Cluster) -> Callable[[str], Mapping[str, Any]]:
    """`overlay("data")`: what the swarm tells of it."""
    return cluster.overlay


@pytest.fixture
def host_of(cluster: Cluster) -> Callable[[Task], Any]:
    """`host_of(task("redis-1")).check_output("id")`: testinfra's host for a container on any node."""
    return cluster.host_of


@pytest.fixture(scope="module")
def _subjects() -> dict[str, list[Subject]]:
    return {}


@pytest.fixture
def subjects(prod: Prod, cluster: Cluster, _subjects: dict[str, list[Subject]]) -> Mapping[str, Sequence[Subject]]:
    """What the contract of containers is held against, by service; all containers were looked into once."""
    if not _subjects:
        configs = {config.name: config.content for config in prod.plan.configs}
        outputs = prod.outputs()
        running = [(service, container) for service in cluster.services.values() for container in service.containers]
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
            inner = list(pool.map(lambda pair: look_inside(pair[1], pair[0].spec), running))
        for (service, container), found in zip(running, inner, strict=True):
            _subjects.setdefault(service.spec.name, []).append(
                Subject(
                    container=container,
                    inner=found,
                    spec=service.spec,
                    swarm=service.details["Spec"],
                    image=outputs[keys.SERVICES][service.spec.name]["image"],
                    prefix=prod.prefix,
                    networks=outputs[keys.NETWORKS],
                    configs=configs,
                )
            )
    return _subjects
