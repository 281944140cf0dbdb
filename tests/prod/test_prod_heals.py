"""What Sentinel cannot heal the controller does, while users notice nothing; and the application is spread again."""

from __future__ import annotations

import re

import pytest

from infra import names
from ops.stack import rebalance
from tests.deploy.traffic import Traffic
from tests.invariants import wait_until_whole
from tests.prod import asking
from tests.prod.planned import NODES, members
from tests.stack.cluster import Cluster
from tests.stack.endpoints import Endpoints
from tests.stack.prod import Prod
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.operations

SERVICE = names.REDIS_PRIMARY
_REPAIRED = re.compile(r'^pidea_controller_repairs_total\{mode="repair",repair="(\w+)"\} ([0-9.]+)', re.MULTILINE)


def repaired(cluster: Cluster) -> dict[str, float]:
    """How often each repair was made."""
    page = asking.container(cluster, names.CONTROLLER).fetch(names.CONTROLLER_PORT, "/metrics")
    return {repair: float(count) for repair, count in _REPAIRED.findall(page)}


def test_a_sentinel_that_watches_nothing_watches_the_primary_again(prod: Prod) -> None:
    wait_until_whole(prod)
    cluster = Cluster.look(prod)
    before = repaired(cluster)
    _, second, _ = members(names.SENTINEL)
    assert asking.sentinel(cluster, second, "SENTINEL", "REMOVE", SERVICE) == ["OK"]
    wait_until(
        lambda: repaired(cluster)["monitor"] > before["monitor"], "the controller repairs it", timeout_seconds=120
    )
    wait_until_whole(prod)


def test_a_cluster_without_a_primary_gets_one_and_keeps_its_keys(prod: Prod) -> None:
    """No sentinel watches anything, and every server follows nobody: this stays so for ever without the controller."""
    wait_until_whole(prod)
    cluster = Cluster.look(prod)
    before = repaired(cluster)
    servers = members(names.REDIS)
    (primary,) = (name for name in servers if asking.redis(cluster, name, "ROLE")[0] == "master")
    assert asking.redis(cluster, primary, "SET", "kept", "1") == ["OK"]
    with Traffic(Endpoints(prod.outputs(), host=cluster.node(NODES[0]).address)) as traffic:
        for sentinel in members(names.SENTINEL):
            assert asking.sentinel(cluster, sentinel, "SENTINEL", "REMOVE", SERVICE) == ["OK"]
        for server in servers:
            asking.redis(cluster, server, "REPLICAOF", names.physical(prod.prefix, "nobody"), str(names.REDIS_PORT))
        wait_until(
            lambda: repaired(cluster)["monitor"] > before["monitor"], "the controller repairs it", timeout_seconds=180
        )
        wait_until_whole(prod)
    assert repaired(cluster)["promote"] == before["promote"] + 1
    assert [asking.redis(cluster, server, "GET", "kept") for server in servers] == [["1"]] * len(servers)
    assert traffic.failures == []
    assert traffic.requests > 50


def test_after_a_nodes_return_the_application_is_spread_again(prod: Prod) -> None:
    wait_until_whole(prod)
    node, other, _ = NODES
    assert prod.pidea("drain", node).code == 0
    assert prod.pidea("drain", node, "--end").code == 0
    assert rebalance.look(prod.stack).tasks[node] == 0, "Swarm moves nothing back by itself"
    with Traffic(Endpoints(prod.outputs(), host=Cluster.look(prod).node(other).address)) as traffic:
        done = prod.pidea("rebalance", "--yes", "--json")
    assert done.code == 0, done.text
    said = done.json
    assert (said["moved"], set(said["after"].values())) == (1, {1})
    assert traffic.failures == []
    again = prod.pidea("rebalance")
    assert (again.code, "there is nothing to do" in again.errors) == (0, True)
