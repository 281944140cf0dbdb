"""A node is taken out and let in again while users write and read: nothing of what they do fails at the other edges."""

from __future__ import annotations

import pytest

from infra import names
from tests.deploy.traffic import Traffic
from tests.invariants import wait_until_whole
from tests.prod import asking
from tests.prod.planned import NODES, members
from tests.stack.cluster import Cluster
from tests.stack.endpoints import Endpoints
from tests.stack.prod import Prod

pytestmark = pytest.mark.operations

USAGE_ERROR = 2


def test_the_node_with_the_primary_is_taken_out_and_let_in(prod: Prod) -> None:
    wait_until_whole(prod)
    cluster = Cluster.look(prod)
    node = _nodes_of_primaries(cluster)[1]
    other = next(name for name in NODES if name != node)
    endpoints = Endpoints(prod.outputs(), host=cluster.node(other).address)
    with Traffic(endpoints) as traffic:
        out = prod.pidea("drain", node)
        assert out.code == 0, out.text
        now = Cluster.look(prod)
        assert [container.service for container in now.containers[node]] == []
        assert node not in _nodes_of_primaries(now)
        back = prod.pidea("drain", node, "--end")
        assert back.code == 0, back.text
    assert traffic.failures == []
    assert traffic.requests > 50
    wait_until_whole(prod)


def test_a_second_node_is_not_taken_out_of_a_degraded_stack(prod: Prod) -> None:
    cluster = Cluster.look(prod)
    node = NODES[-1]
    assert prod.pidea("drain", node).code == 0
    try:
        refused = prod.pidea("drain", NODES[0])
        assert refused.code == 5, refused.text
        assert "Nothing was touched, because what runs is degraded" in refused.errors
        # What ran there runs on; a replica of the node that was taken out may have come on top.
        assert _ids(cluster, NODES[0]) <= _ids(Cluster.look(prod), NODES[0])
    finally:
        assert prod.pidea("drain", node, "--end").code == 0


def test_a_node_that_is_not_there(prod: Prod) -> None:
    refused = prod.pidea("drain", "n99")
    assert refused.code == USAGE_ERROR
    assert f"There is no node 'n99'; choose one of: {', '.join(NODES)}." in refused.errors


def _ids(cluster: Cluster, node: str) -> set[str]:
    return {container.id for container in cluster.containers[node]}


def _nodes_of_primaries(cluster: Cluster) -> tuple[str, str]:
    """Of Redis and of PostgreSQL, by their actual roles; exactly one each, among the members that run."""
    redis = [
        name
        for name in members(names.REDIS)
        if cluster.service(name).containers and asking.redis(cluster, name, "ROLE")[0] == "master"
    ]
    postgres = [
        name
        for name in members(names.POSTGRES)
        if cluster.service(name).containers and asking.psql(cluster, name, "SELECT pg_is_in_recovery()") == "f"
    ]
    assert (len(redis), len(postgres)) == (1, 1), (redis, postgres)
    return cluster.service(redis[0]).task.node, cluster.service(postgres[0]).task.node
