"""A lab for the tests of this folder, beside whatever else runs on the machine, and gone afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from ops.errors import HostError
from ops.host import engine
from ops.lab import down, machine, record, reference, shell, up
from ops.lab.reference import LABEL, Lab
from ops.stack import swarm

# The first run builds the images of node and registry.
_TIMEOUT_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(_TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def host() -> Iterator[docker.APIClient]:
    """This machine's engine."""
    try:
        where = machine.local()
    except HostError as error:
        pytest.skip(str(error))
    finding = engine.look(where)
    if finding.engine is None:
        pytest.skip(finding.problem)
    with swarm.client(300.0, where=where) as api:
        yield api


@pytest.fixture(scope="session")
def make(host: docker.APIClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Lab]]:
    """Gives names of labs that nobody has, each with a folder of its own; removes what is left of them at the end."""
    made: list[Lab] = []

    def name() -> Lab:
        made.append(reference.resolve(f"t-{uuid.uuid4().hex[:8]}", local=tmp_path_factory.mktemp("lab")))
        return made[-1]

    yield name
    for lab in made:
        down.down(lab)
    for lab in made:
        assert left_of(host, lab) == []


@pytest.fixture(scope="session")
def lab(make: Callable[[], Lab]) -> Lab:
    """A lab of three nodes. A test that orders a fault takes it back."""
    lab = make()
    assert up.up(lab).made
    return lab


def left_of(host: docker.APIClient, lab: Lab) -> list[str]:
    """Everything in Docker that has the lab's label or name, and its folder."""
    ours = {"label": f"{LABEL}={lab.name}"}
    found = [
        *(item["Names"][0] for item in host.containers(all=True, filters=ours)),
        *(item["Name"] for item in host.volumes()["Volumes"] or [] if lab.docker_name in item["Name"]),
        *(item["Name"] for item in host.networks() if lab.docker_name in item["Name"]),
    ]
    return [*found, *([str(lab.folder)] if lab.folder.exists() else [])]


def inside(host: docker.APIClient, lab: Lab, slot: int, script: str) -> tuple[int, str]:
    """A shell's exit code and output on a node."""
    return shell.attempt(host, lab.container(slot), "bash", "-c", script)


def reaches(host: docker.APIClient, lab: Lab, source: int, target: int) -> bool:
    """Whether a connection from one node to the other comes about."""
    address = record.require(lab).address(target)
    code, _ = inside(host, lab, source, f"socat -u /dev/null TCP:{address}:2377,connect-timeout=2")
    return code == 0
