"""What can be reached from outside: the edge's two ports, and nothing else."""

from __future__ import annotations

import socket

from infra import names
from infra import outputs as keys
from ops.stack import swarm
from tests.stack import containers
from tests.stack.instance import Instance

INNER_PORTS = sorted({value for name, value in vars(names).items() if name.endswith("_PORT")})


def test_only_the_edge_publishes_ports(stack: Instance) -> None:
    published: dict[str, set[int]] = {}
    for service in stack.plan.services:
        for container in containers.of(stack, service.name):
            bound = container.details["NetworkSettings"]["Ports"].values()
            published[service.name] = {int(host["HostPort"]) for hosts in bound for host in hosts or []}
    assert {name: ports for name, ports in published.items() if ports} == {names.EDGE: set(stack.plan.published_ports)}


def test_services_publish_no_port_through_the_routing_mesh(stack: Instance) -> None:
    with swarm.client() as api:
        modes = {
            port["PublishMode"]
            for service in stack.plan.services
            for port in api.inspect_service(names.physical(stack.prefix, service.name))["Endpoint"].get("Ports", [])  # type: ignore[no-untyped-call]
        }
    assert modes == {"host"}


def test_the_published_ports_answer(stack: Instance) -> None:
    for port in stack.plan.published_ports:
        assert _accepts(port)


def test_no_inner_port_leads_to_the_stack(stack: Instance) -> None:
    assert len(INNER_PORTS) > 10
    with swarm.client() as api:
        for port in set(INNER_PORTS) - set(stack.plan.published_ports):
            if _accepts(port):  # whoever this is, it must not be ours
                names_ = [item["Names"][0] for item in api.containers(filters={"publish": str(port)})]
                assert not [name for name in names_ if name.startswith(f"/{stack.prefix}-")]


def test_networks_are_internal(stack: Instance) -> None:
    outputs = stack.outputs()
    with swarm.client() as api:
        for network in stack.plan.networks:
            found = api.inspect_network(outputs[keys.NETWORKS][network.name])
            assert found["Driver"] == "overlay"
            assert found["Internal"] == (network.name != names.PUBLIC)
            assert found["IPAM"]["Config"][0]["Subnet"] == network.subnet


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
