"""Every node of prod: what listens on it, the volumes and overlays that it has, and CIS sections 5 and 7."""

from __future__ import annotations

import socket

import pytest

from infra import names
from infra import outputs as keys
from ops.lab import machine, record, shell, tls
from ops.stack import heartbeat, swarm
from tests.prod.planned import NODES
from tests.stack import cis
from tests.stack.cluster import Cluster, slot_of
from tests.stack.prod import Prod

INNER_PORTS = sorted({value for name, value in vars(names).items() if name.endswith("_PORT")})
# Of the swarm itself: management, and gossip of the overlay networks (their data goes by UDP). And the engine, by TLS.
SWARM_PORTS = {2377, 7946, tls.PORT}
LISTENS = "0A"

pytestmark = pytest.mark.parametrize("node_name", NODES)


@pytest.fixture(scope="module")
def judged() -> dict[str, cis.Subject]:
    return {}


@pytest.mark.parametrize("rule", cis.CHECKS)
def test_cis_on_every_node(prod: Prod, judged: dict[str, cis.Subject], node_name: str, rule: str) -> None:
    if node_name not in judged:
        judged[node_name] = cis.subject_on(prod.engines[node_name], prod)
    cis.CHECKS[rule](judged[node_name])


def test_only_the_edges_ports_listen(prod: Prod, cluster: Cluster, node_name: str) -> None:
    node = cluster.node(node_name)
    with swarm.client(where=machine.of(record.require(prod.lab))) as api:
        container = prod.lab.container(node.slot)
        tables = shell.run(api, container, "cat", "/proc/net/tcp", "/proc/net/tcp6")
    assert _listening(tables) == {*prod.plan.published_ports, *SWARM_PORTS}


def test_the_edges_ports_answer_and_no_other(prod: Prod, cluster: Cluster, node_name: str) -> None:
    address = cluster.node(node_name).address
    assert all(_accepts(address, port) for port in prod.plan.published_ports)
    inner = set(INNER_PORTS) - set(prod.plan.published_ports)
    assert len(inner) > 10
    assert [port for port in inner if _accepts(address, port)] == []


def test_only_the_edge_publishes_ports_here(prod: Prod, cluster: Cluster, node_name: str) -> None:
    published = {
        (container.service, int(host["HostPort"]))
        for container in cluster.containers[node_name]
        for hosts in (container.details["NetworkSettings"]["Ports"] or {}).values()
        for host in hosts or []
    }
    assert published == {(names.EDGE, port) for port in prod.plan.published_ports}


def test_volumes_are_used_by_what_is_bound_here(prod: Prod, cluster: Cluster, node_name: str) -> None:
    node = cluster.node(node_name)
    bound = {
        (names.physical(prod.prefix, mount.volume), service.spec.name)
        for service in cluster.services.values()
        if slot_of(service.spec) == node.slot
        for mount in service.spec.volumes
    }
    used = {
        (mount["Name"], container.service)
        for container in cluster.containers[node_name]
        for mount in container.details["Mounts"]
        if mount["Type"] == "volume"
    }
    floating = {(volume, service) for volume, service in used if slot_of(cluster.service(service).spec) is None}
    assert used - floating == bound
    with swarm.client(where=node.engine) as api:
        here = {volume["Name"] for volume in api.volumes()["Volumes"]}
    assert {volume for volume, _ in used} <= here


def test_overlays_are_those_of_the_plan_here(prod: Prod, cluster: Cluster, node_name: str) -> None:
    outputs = prod.outputs()[keys.NETWORKS]
    with swarm.client(where=cluster.node(node_name).engine) as api:
        for network in prod.plan.networks:
            found = api.inspect_network(outputs[network.name])
            assert (found["Driver"], found["Scope"], found["Attachable"]) == ("overlay", "swarm", False)
            assert found["Internal"] == (network.name != names.PUBLIC)
            assert found["IPAM"]["Config"][0]["Subnet"] == network.subnet
            assert ("encrypted" in found["Options"]) == network.encrypted


def test_the_node_is_a_manager_with_its_number(cluster: Cluster, node_name: str) -> None:
    details = cluster.node(node_name).details
    assert (details["Status"]["State"], details["Spec"]["Availability"]) == ("ready", "active")
    assert details["ManagerStatus"]["Reachability"] == "reachable"
    assert sorted(node.slot for node in cluster.nodes.values()) == list(range(1, len(cluster.nodes) + 1))


def test_the_swarm_takes_a_silent_node_for_lost_late(cluster: Cluster, node_name: str) -> None:
    with swarm.client(where=cluster.node(node_name).engine) as api:
        seconds = api.inspect_swarm()["Spec"]["Dispatcher"]["HeartbeatPeriod"] / 10**9
    assert not heartbeat.advice(seconds)


def _listening(tables: str) -> set[int]:
    """The TCP ports that other machines can reach: what listens on loopback alone is left out."""
    found = set()
    for line in tables.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] == LISTENS:
            address, port = fields[1].split(":")
            if not _is_loopback(address):
                found.add(int(port, 16))
    return found


def _is_loopback(address: str) -> bool:
    """`address` as /proc/net/tcp has it: each group of four bytes in the machine's order."""
    return address.endswith("7F") or address == "0" * 24 + "01000000"


def _accepts(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False
