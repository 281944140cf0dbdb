"""The engines of other nodes are reached in the way in which the manager is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from docker.tls import TLSConfig

from ops.errors import UsageError
from ops.host import engine, nodes
from ops.host.endpoint import Endpoint
from ops.host.engine import Engine

FakeEngine = Callable[[dict[str, tuple[int, object]]], Endpoint]


@pytest.mark.parametrize(
    ("manager", "node"),
    [
        ("ssh://deploy@192.0.2.11", "ssh://deploy@192.0.2.12"),
        ("ssh://deploy@manager.example:2222", "ssh://deploy@192.0.2.12:2222"),
        ("tcp://192.0.2.11:2376", "tcp://192.0.2.12:2376"),
    ],
)
def test_the_same_way_leads_to_another_node(manager: str, node: str) -> None:
    found = Endpoint(manager, "DOCKER_HOST").at("192.0.2.12")
    assert found is not None
    assert found.url == node


def test_the_same_certificate_opens_it() -> None:
    tls = TLSConfig(verify=True)
    found = Endpoint("tcp://192.0.2.11:2376", "DOCKER_HOST", tls).at("2001:db8::12")
    assert found is not None
    assert (found.url, found.tls) == ("tcp://[2001:db8::12]:2376", tls)


def test_a_local_socket_leads_to_no_other_node() -> None:
    assert Endpoint("unix:///var/run/docker.sock", "default").at("192.0.2.12") is None


def swarm(leader_address: str = "192.0.2.11:2377") -> dict[str, tuple[int, object]]:
    return {
        "/version": (200, {"Version": "x.y", "ApiVersion": "1.41"}),
        "/info": (200, {"Swarm": {"NodeID": "a"}}),
        "/nodes": (
            200,
            [
                {
                    "ID": "a",
                    "Description": {"Hostname": "n1"},
                    "Status": {"Addr": "0.0.0.0"},  # noqa: S104 - as a leader can say
                    "ManagerStatus": {"Addr": leader_address},
                },
                {"ID": "b", "Description": {"Hostname": "n2"}, "Status": {"Addr": "192.0.2.12"}},
            ],
        ),
    }


@pytest.fixture
def manager(fake_engine: FakeEngine) -> Engine:
    """One of a swarm of two nodes, behind a local socket."""
    found = engine.look(fake_engine(swarm())).engine
    assert found is not None
    return found


def test_the_manager_itself_is_reached_as_it_is(manager: Engine) -> None:
    assert nodes.engine_of(manager, "n1") == manager.endpoint


def test_another_node_behind_a_local_socket_is_out_of_reach(manager: Engine) -> None:
    with pytest.raises(UsageError, match=r"Node n2 \(192\.0\.2\.12\) cannot be reached.*Set DOCKER_HOST to a manager"):
        nodes.engine_of(manager, "n2")


def test_a_node_that_is_not_there(manager: Engine) -> None:
    with pytest.raises(UsageError, match=r"no node 'n3'; choose one of: n1, n2\."):
        nodes.engine_of(manager, "n3")


def test_a_leader_is_known_by_its_managers_address() -> None:
    listed = swarm("[2001:db8::11]:2377")["/nodes"][1]
    assert isinstance(listed, list)
    assert [nodes.address_of(node) for node in listed] == ["2001:db8::11", "192.0.2.12"]
