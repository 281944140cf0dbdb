"""A stack on a lab: how it is named and found again, what its configuration has, and where it runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from ops.errors import UsageError
from ops.lab import record
from ops.lab.record import Record
from ops.lab.reference import Lab
from ops.stack import instances, on_lab, target
from ops.stack.reference import Stack, resolve

RECORD = Record(nodes=5, subnet="172.28.7.0/24", registry_port=20500, engine="unix:///run/builder.sock", complete=True)
CONFIG = {
    "pidea:environment": "prod",
    "pidea:instance": "pidea-prod",
    "pidea:nodes": 3,
    "pidea:network": {"cidr": "10.90.0.0/16", "encrypted": True},
    "pidea:edge": {"port": 3000},
}


@pytest.fixture
def local(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": CONFIG}))
    return tmp_path / ".pidea"


@pytest.fixture
def stack(local: Path) -> Stack:
    record.write(Lab("lab", local), RECORD)
    return resolve("prod", lab=True, root=local.parent, local=local)


def made(stack: Stack) -> dict[str, object]:
    instances.ensure(stack)
    return dict(yaml.safe_load(stack.config_file.read_text())["config"])


def test_it_is_an_instance_with_the_labs_name(local: Path) -> None:
    by_default = resolve("prod", lab=True, root=local.parent, local=local)
    assert (by_default.lab, by_default.instance, by_default.arguments) == ("lab", "lab", "prod --lab")
    named = resolve("prod", "mine", lab=True, root=local.parent, local=local)
    assert (named.lab, named.name, named.arguments) == ("mine", "prod-mine", "prod --lab --instance mine")


def test_it_is_found_again_without_saying_that_it_is_on_a_lab(stack: Stack) -> None:
    instances.ensure(stack)
    assert resolve("prod", "lab", root=stack.root, local=stack.local) == stack
    assert list(on_lab.folders("lab", stack.local)) == [stack.folder]
    assert list(on_lab.folders("other", stack.local)) == []


def test_its_configuration_is_the_environments_with_the_labs_registry_builder_and_manager(stack: Stack) -> None:
    assert made(stack) == {
        **CONFIG,
        "pidea:instance": "pidea-lab",
        "pidea:nodes": 5,
        "pidea:registry": "127.0.0.1:20500",
        "pidea:builder": "unix:///run/builder.sock",
        "pidea:network": {"cidr": "10.90.0.0/16", "encrypted": False},
        "docker:host": f"unix://{stack.local}/labs/lab/manager.sock",
    }


def test_networks_stay_encrypted_where_the_kernel_can(stack: Stack) -> None:
    assert on_lab.policy_parameters(stack) == {"networks-encrypted": {"required": False}}
    record.write(Lab("lab", stack.local), dataclasses.replace(RECORD, can_encrypt=True))
    assert made(stack)["pidea:network"] == CONFIG["pidea:network"]
    assert on_lab.policy_parameters(stack) == {}


def test_without_a_lab_nothing_is_written(local: Path) -> None:
    stack = resolve("prod", lab=True, root=local.parent, local=local)
    with pytest.raises(UsageError, match="pidea lab up"):
        instances.ensure(stack)
    assert not stack.folder.exists()


def test_an_instance_that_is_not_on_a_lab_is_not_taken(stack: Stack) -> None:
    stack.folder.mkdir(parents=True)
    (stack.folder / "Pulumi.staging.yaml").write_text("config: {}\n")
    with pytest.raises(UsageError, match="not on a lab"):
        instances.ensure(stack)
    assert not stack.lab_marker.exists()


def test_the_users_docker_host_does_not_count(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/users.sock")
    builder = target.builder_of(stack)
    assert builder is not None
    assert builder.url == "unix:///run/builder.sock"
    assert target.engine_of(stack, "n4").url == f"unix://{stack.local}/labs/lab/n4/docker.sock"
    with pytest.raises(UsageError, match="no node"):
        target.engine_of(stack, "n6")
    ordinary = Stack(environment="prod", root=stack.root, local=stack.local)
    assert target.endpoint_of(ordinary).url == "unix:///run/users.sock"
    assert target.builder_of(ordinary) is None
    assert target.host_of(ordinary) == "localhost"
