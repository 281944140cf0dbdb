"""A swarm that cannot be used from here is one clear sentence, and is never left or made anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ops.errors import HostError
from ops.host import engine, swarm
from ops.host.endpoint import Endpoint
from ops.host.engine import Engine

MakeSwarm = Callable[..., Engine]


@pytest.fixture
def engine_in(fake_engine: Callable[[dict[str, tuple[int, Any]]], Endpoint]) -> MakeSwarm:
    """Makes an engine whose `docker info` shows this swarm; whatever would change it is refused."""

    def make(refusal: str = "must not be called", **info: Any) -> Engine:
        where = fake_engine(
            {
                "/version": (200, {"Version": "x.y", "ApiVersion": "1.41"}),
                "/info": (200, {"Swarm": info}),
                "/swarm/init": (503, {"message": refusal}),
            }
        )
        found = engine.look(where).engine
        assert found
        return found

    return make


def test_a_manager_is_used_as_it_is(engine_in: MakeSwarm) -> None:
    found = engine_in(LocalNodeState="active", ControlAvailable=True, NodeID="abc", Nodes=3)
    assert swarm.ensure(found) == swarm.Swarm("abc", 3, made=False)


@pytest.mark.parametrize("info", [{"LocalNodeState": "inactive"}, {"LocalNodeState": "inactive", "NodeID": ""}, {}])
def test_none(engine_in: MakeSwarm, info: dict[str, Any]) -> None:
    assert swarm.find(engine_in(**info)) is None


@pytest.mark.parametrize(
    ("info", "sentence"),
    [
        ({"LocalNodeState": "locked"}, "swarm is locked. Unlock it (docker swarm unlock)"),
        ({"LocalNodeState": "pending"}, "swarm is in state pending. Repair it"),
        ({"LocalNodeState": "error", "Error": "no such CA\nmore"}, "in state error: no such CA. Repair it"),
        (
            {
                "LocalNodeState": "active",
                "ControlAvailable": False,
                "RemoteManagers": [{"NodeID": "m", "Addr": "192.0.2.1:2377"}],
            },
            "worker of a swarm, and only managers can deploy. Set DOCKER_HOST to one of its managers (192.0.2.1:2377)",
        ),
    ],
)
def test_states_that_stop_us(engine_in: MakeSwarm, info: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HostError) as caught:
        swarm.ensure(engine_in(**info))
    assert sentence in str(caught.value)


def test_docker_refuses_to_make_one(engine_in: MakeSwarm) -> None:
    with pytest.raises(HostError, match=r"could not make a swarm: port is taken\. Free port 2377"):
        swarm.ensure(engine_in("port is taken", LocalNodeState="inactive"))
