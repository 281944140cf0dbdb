"""What an instance is given: ports and a network that nobody uses."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest
import yaml

from ops.errors import HostError, UsageError
from ops.stack import instances
from ops.stack.reference import Stack

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_host_networks_are_the_routes_but_the_default(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(ROUTES)
    assert list(instances.host_networks(tmp_path / "route")) == [
        ipaddress.IPv4Network("10.0.0.0/16"),
        ipaddress.IPv4Network("172.17.0.0/16"),
    ]


def test_a_system_without_that_file_has_no_routes(tmp_path: Path) -> None:
    assert list(instances.host_networks(tmp_path / "none")) == []


def test_a_free_network_overlaps_nothing() -> None:
    # Everything but one /20 is taken.
    left = ipaddress.IPv4Network("10.77.16.0/20")
    taken = list(ipaddress.IPv4Network("10.0.0.0/8").address_exclude(left))
    assert instances.free_network(taken) == left
    with pytest.raises(HostError, match="is in use"):
        instances.free_network([*taken, left])


def test_free_ports_are_free_differ_and_avoid_the_given() -> None:
    first, second = instances.free_ports(2)
    assert first != second
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", first))
    everything_but = [port for port in range(20000, 32000) if port not in (first, second)]
    assert set(instances.free_ports(2, avoid=everything_but)) == {first, second}


def test_a_port_that_is_listened_on_is_not_free() -> None:
    (port,) = instances.free_ports(1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        others = [other for other in range(20000, 32000) if other != port]
        with pytest.raises(HostError, match="No 1 free ports"):
            instances.free_ports(1, avoid=others)


@pytest.mark.stack
def test_an_instance_differs_from_its_environment_only_where_it_must(tmp_path: Path) -> None:
    config = {"pidea:environment": "staging", "pidea:instance": "pidea-staging", "pidea:edge": {"port": 3000}}
    (tmp_path / "Pulumi.staging.yaml").write_text(yaml.safe_dump({"config": config}))
    stack = Stack(environment="staging", instance="t1", root=tmp_path, local=tmp_path / "l")
    with pytest.raises(UsageError, match="up staging --instance t1"):
        instances.require(stack)
    instances.ensure(stack)
    instances.require(stack)
    made = yaml.safe_load(stack.config_file.read_text())["config"]
    assert made["pidea:environment"] == "staging"
    assert made["pidea:instance"] == "pidea-t1"
    assert made["pidea:edge"]["port"] != made["pidea:edge"]["operatorPort"]
    assert ipaddress.IPv4Network(made["pidea:network"]["cidr"]).prefixlen == 20

    before = stack.config_file.read_bytes()
    instances.ensure(stack)
    assert stack.config_file.read_bytes() == before

    other = Stack(environment="staging", instance="t2", root=tmp_path, local=tmp_path / "l")
    instances.ensure(other)
    theirs = yaml.safe_load(other.config_file.read_text())["config"]
    assert not set(theirs["pidea:edge"].values()) & set(made["pidea:edge"].values())

    instances.remove(stack)
    assert not stack.folder.exists()
    assert other.config_file.exists()
