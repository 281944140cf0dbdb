"""What `up` refuses before it touches anything, with one clear sentence."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from infra import names
from ops.stack import instances, swarm
from tests.invariants import wait_until_healthy
from tests.stack import commands
from tests.stack.instance import Instance
from tests.stack.remains import remains

HOST_ERROR = 3
STATE_ERROR = 4
USAGE_ERROR = 2


@pytest.fixture
def spare(test_instance: Instance) -> Iterator[Instance]:
    """Another instance, configured and never up. Asking for `test_instance` makes sure that there is an engine."""
    made = Instance.named("spare")
    made.remove()
    try:
        instances.ensure(made.stack)
        yield made
    finally:
        made.remove()


def test_a_taken_port(spare: Instance) -> None:
    port = spare.plan.published_ports[0]
    with socket.create_server(("127.0.0.1", port)):
        _refused(spare, HOST_ERROR, f"Port {port} is already taken")
    assert remains(spare.prefix) == []


def test_a_volume_that_is_not_ours(spare: Instance) -> None:
    name = names.physical(spare.prefix, names.REDIS_DATA)
    with swarm.client() as api:
        api.create_volume(name)
    _refused(spare, HOST_ERROR, f"The volume {name} exists and was not made by this project")
    assert remains(spare.prefix) == [f"volume {name}"]


def test_a_service_that_is_not_ours(spare: Instance, stack: Instance) -> None:
    name = names.physical(spare.prefix, names.APP)
    image = stack.outputs()["services"][names.REDIS_EXPORTER]["image"]
    with swarm.client() as api:
        api.create_service({"ContainerSpec": {"Image": image}}, name=name, mode={"Replicated": {"Replicas": 0}})  # type: ignore[no-untyped-call]
    _refused(spare, HOST_ERROR, f"The service {name} exists and was not made by this project")
    assert remains(spare.prefix) == [f"service {name}"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pidea:colour": "blue"}, "pidea:colour: there is no such key"),
        ({"pidea:app": {"replicas": 0}}, "pidea:app.replicas: must be greater than or equal to 1, is 0"),
    ],
)
def test_settings_that_cannot_be(spare: Instance, settings: dict[str, Any], said: str) -> None:
    spare.configure(settings)
    _refused(spare, USAGE_ERROR, said)
    assert remains(spare.prefix) == []


def test_two_at_once(stack: Instance) -> None:
    """One of them works, the other says so at once, and neither does harm."""
    before = set(remains(stack.prefix))
    processes = [commands.start(stack.command("up", "--json")) for _ in range(2)]
    try:
        ended = [commands.finish(process, 600) for process in processes]
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    assert sorted(one.code for one in ended) == [0, STATE_ERROR], [one.text for one in ended]
    loser = next(one for one in ended if one.code)
    assert f"Another ./pidea command is working on stack {stack.stack.name}" in loser.errors
    assert set(remains(stack.prefix)) == before
    wait_until_healthy(stack.outputs())


def _refused(instance: Instance, code: int, said: str) -> None:
    refused = instance.pidea("up")
    assert refused.code == code, refused.text
    assert said in refused.errors
    assert refused.errors.count("Error:") == 1
    assert "Traceback" not in refused.errors
