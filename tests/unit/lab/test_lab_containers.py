"""The containers of a lab: what each is allowed, what it is called, and that all of it carries the lab's label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.lab import containers, images
from ops.lab.record import Record
from ops.lab.reference import FOLDER_LABEL, LABEL, Lab

LAB = Lab("t", Path("/srv/pidea"))
RECORD = Record(nodes=3, subnet="172.28.7.0/24", registry_port=20500, engine="unix:///var/run/docker.sock")


@pytest.fixture(params=["node", "registry", "network"])
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "node":
        return containers.node(LAB, RECORD, 2, "image")
    if request.param == "registry":
        return containers.registry(LAB, RECORD, "image")
    return {"Labels": containers.network(LAB, RECORD.subnet)["labels"]}


def test_everything_carries_the_label(made: dict[str, Any]) -> None:
    assert made["Labels"][LABEL] == "t"
    assert made["Labels"][FOLDER_LABEL] == "/srv/pidea/labs/t"


def test_a_node_has_its_address_its_volume_and_its_socket() -> None:
    made = containers.node(LAB, RECORD, 2, "image")
    host = made["HostConfig"]
    assert made["Hostname"] == "n2"
    assert made["NetworkingConfig"]["EndpointsConfig"]["pidea-lab-t"]["IPAMConfig"]["IPv4Address"] == "172.28.7.12"
    assert [(mount["Source"], mount["Target"]) for mount in host["Mounts"]] == [
        ("pidea-lab-t-n2", "/var/lib/docker"),
        ("/srv/pidea/labs/t/n2", "/run/lab"),
    ]
    assert not host.get("Privileged")
    assert host["CapDrop"] == ["SYS_RESOURCE"]
    assert "PortBindings" not in host  # its ports are reached at its address


def test_the_registry_is_on_loopback_and_may_do_nothing_special() -> None:
    host = containers.registry(LAB, RECORD, "image")["HostConfig"]
    assert host["PortBindings"] == {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20500"}]}
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "CapAdd" not in host


def test_an_image_is_named_by_its_files_and_its_base() -> None:
    names = {images.digest(name, base) for name in (images.NODE, images.REGISTRY) for base in ("sha256:a", "sha256:b")}
    assert len(names) == 4
    assert images.digest(images.NODE, "sha256:a") == images.digest(images.NODE, "sha256:a")
