"""A lab as a whole: what up makes, up again, side by side with others, half made, and down."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable

import docker
import pytest
import requests

from ops import paths
from ops.errors import HostError, UsageError
from ops.lab import containers, down, endpoint, images, members, record, status, up
from ops.lab.reference import Lab
from tests.lab.conftest import left_of, reaches

pytestmark = pytest.mark.lab


def test_its_nodes_are_a_swarm_of_managers_each_labelled_with_its_slot(lab: Lab) -> None:
    found = status.of(lab)
    assert found.is_well, found
    assert sorted(node.role for node in found.nodes) == ["leader", "manager", "manager"]
    labels = {
        node["Description"]["Hostname"]: node["Spec"]["Labels"][members.NODE_LABEL] for node in members.nodes(lab)
    }
    assert labels == {"n1": "1", "n2": "2", "n3": "3"}


def test_up_again_does_nothing_and_another_count_is_refused(host: docker.APIClient, lab: Lab) -> None:
    before = {node: host.inspect_container(lab.container(node))["State"]["StartedAt"] for node in (1, 2, 3)}
    again = up.up(lab)
    assert not again.made
    assert not again.healed
    assert before == {node: host.inspect_container(lab.container(node))["State"]["StartedAt"] for node in (1, 2, 3)}
    with pytest.raises(UsageError, match="has 3 nodes"):
        up.up(lab, 5)


def test_up_brings_back_what_stopped(host: docker.APIClient, lab: Lab) -> None:
    host.kill(lab.container(2))
    host.pause(lab.container(3))
    assert up.up(lab).healed == ("n2", "n3")
    assert status.of(lab).is_well


def test_one_image_reference_is_good_on_this_machine_and_on_every_node(host: docker.APIClient, lab: Lab) -> None:
    repository = f"{record.require(lab).registry}/pidea/tiny"
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content in (
            ("Dockerfile", b"FROM scratch\nCOPY content /\n"),
            ("content", b"of " + lab.name.encode()),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    context.seek(0)
    assert not [
        m for m in host.build(fileobj=context, custom_context=True, tag=repository, decode=True) if "error" in m
    ]
    try:
        pushed = list(host.push(repository, tag="latest", stream=True, decode=True, auth_config={"username": "nobody"}))
        digest = next(message["aux"]["Digest"] for message in pushed if "aux" in message)
        for slot in (1, 2, 3):
            with members.engine(lab, slot) as node:
                node.pull(f"{repository}@{digest}")
                assert node.inspect_image(f"{repository}@{digest}")["Size"]  # type: ignore[no-untyped-call]
    finally:
        host.remove_image(repository, force=True)


def test_its_registry_is_its_own(lab: Lab) -> None:
    answer = requests.get(f"http://{record.require(lab).registry}/v2/", timeout=10)
    assert answer.headers[containers.REGISTRY_HEADER] == lab.name


def test_the_managers_address_leads_to_a_node_that_lives(host: docker.APIClient, lab: Lab) -> None:
    address = endpoint.of(lab)
    used = endpoint.manager(lab)
    host.pause(lab.container(used))
    try:
        assert endpoint.of(lab) == address
        assert endpoint.manager(lab) != used
        with contextlib.closing(address.client()) as api:
            assert len(api.nodes()) == 3
    finally:
        host.unpause(lab.container(used))
        members.wait_until_ready(lab, record.require(lab))


def test_two_labs_do_not_disturb_each_other(host: docker.APIClient, lab: Lab, make: Callable[[], Lab]) -> None:
    other = make()
    made = up.up(other, 5).record
    mine = record.require(lab)
    assert made.subnet != mine.subnet
    assert made.registry_port != mine.registry_port
    assert len(members.nodes(other)) == 5
    assert len(members.nodes(lab)) == 3
    for slot in made.slots:
        host.kill(other.container(slot))
    assert status.of(lab).is_well
    assert down.down(other) == 2 * (5 + 1) + 1
    assert left_of(host, other) == []
    assert status.of(lab).is_well
    assert reaches(host, lab, 1, 2)


def test_a_lab_of_another_checkout_is_left_alone(lab: Lab, make: Callable[[], Lab]) -> None:
    elsewhere = Lab(lab.name, make().local)
    for act in (up.up, down.down):
        with pytest.raises(HostError, match="another checkout"):
            act(elsewhere)
    assert status.of(lab).is_well


@pytest.mark.parametrize("sign", ["Network, registry", "Swarm"])
def test_a_half_made_lab_can_be_made_and_removed(host: docker.APIClient, make: Callable[[], Lab], sign: str) -> None:
    lab = make()
    _killed_while(lab, sign)
    assert left_of(host, lab)
    assert up.up(lab).made
    assert status.of(lab).is_well
    assert down.down(lab)
    assert left_of(host, lab) == []
    assert down.down(lab) == 0


def test_a_lab_whose_making_fails_leaves_nothing(
    host: docker.APIClient, make: Callable[[], Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make()
    # The registry's image in the place of a node's: a container that runs, and no engine.
    monkeypatch.setattr(images, "NODE", images.REGISTRY)
    monkeypatch.setattr(members, "_START_SECONDS", 3.0)
    with pytest.raises(HostError, match="did not start"):
        up.up(lab)
    assert left_of(host, lab) == []


@pytest.mark.parametrize("what", ["NODE_MEMORY_BYTES", "NODE_DISK_BYTES"])
def test_too_little_of_the_machine_is_said_before_anything_is_made(
    host: docker.APIClient, make: Callable[[], Lab], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    lab = make()
    monkeypatch.setattr(up, what, 2**50)
    with pytest.raises(HostError, match="MiB"):
        up.up(lab)
    assert left_of(host, lab) == []


def _killed_while(lab: Lab, sign: str) -> None:
    """Starts to make the lab in another process, and kills that in the middle of a step."""
    program = (
        "import pathlib, sys; from ops.lab import up; from ops.lab.reference import Lab; "
        "up.up(Lab(sys.argv[1], pathlib.Path(sys.argv[2])))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, lab.name, str(lab.local)],
        cwd=paths.REPO,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    with process:
        for line in process.stderr:
            if sign in line:
                break
        while not lab.folder.exists():
            time.sleep(0.05)
        time.sleep(0.4)
        process.send_signal(signal.SIGKILL)
