"""What a lab's record says, and what is said where there is none or it is damaged."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import pytest

from ops.errors import HostError, StateError, UsageError
from ops.lab import endpoint, machine, record, status
from ops.lab import up as raising
from ops.lab.record import Record
from ops.lab.reference import Lab

RECORD = Record(nodes=3, subnet="172.28.7.0/24", registry_port=20500, engine="unix:///var/run/docker.sock")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab("t", tmp_path)


def test_the_record_comes_back_as_it_was_and_the_folder_is_its_owners_alone(lab: Lab) -> None:
    record.write(lab, RECORD)
    assert record.read(lab) == RECORD
    assert stat.S_IMODE(lab.folder.stat().st_mode) == 0o700


def test_addresses_are_of_the_subnet_and_differ() -> None:
    addresses = [RECORD.registry_address, *(RECORD.address(slot) for slot in range(1, raising.NODES_MAX + 1))]
    assert addresses[:3] == ["172.28.7.5", "172.28.7.11", "172.28.7.12"]
    assert len(set(addresses)) == len(addresses)
    assert RECORD.registry == "127.0.0.1:20500"


def test_a_lab_that_is_not_there_or_half_made_is_no_lab_to_work_on(lab: Lab) -> None:
    for _ in range(2):
        for act in (record.require, endpoint.of, status.of):
            with pytest.raises(UsageError, match="lab up --name t"):
                act(lab)
        record.write(lab, RECORD)  # not complete


def test_a_damaged_record_is_said(lab: Lab) -> None:
    lab.folder.mkdir(parents=True)
    for content in ("{", "[]", '{"nodes": 3}', '{"unknown": 1}'):
        (lab.folder / "lab.json").write_text(content)
        with pytest.raises(StateError, match="lab down --name t"):
            record.read(lab)


def test_a_lab_without_a_living_manager_says_what_to_do(lab: Lab) -> None:
    record.write(lab, dataclasses.replace(RECORD, complete=True))
    with pytest.raises(HostError, match="lab status --name t"):
        endpoint.of(lab, wait_seconds=0)
    assert not lab.manager_socket.is_symlink()


@pytest.mark.parametrize("nodes", [0, 2, 4, 100])
def test_an_even_quorum_is_refused(nodes: int) -> None:
    with pytest.raises(UsageError, match="even quorum"):
        raising.check_count(nodes)


@pytest.mark.parametrize("nodes", [-1, 1, raising.NODES_MAX + 2])
def test_too_few_and_too_many_nodes_are_refused(nodes: int) -> None:
    with pytest.raises(UsageError, match="3 to"):
        raising.check_count(nodes)


@pytest.mark.parametrize("nodes", [None, 3, 5, 7, 15])
def test_other_counts_are_taken(nodes: int | None) -> None:
    raising.check_count(nodes)


@pytest.mark.parametrize("url", ["tcp://192.0.2.1:2376", "ssh://user@example.org"])
def test_an_engine_of_another_machine_is_refused(url: str) -> None:
    with pytest.raises(HostError, match="on this machine, and DOCKER_HOST names"):
        machine.local({"DOCKER_HOST": url})


def test_a_shell_that_has_a_labs_engine_still_makes_labs_on_the_machines(lab: Lab) -> None:
    labs = lab.folder.parent
    inside = {"DOCKER_HOST": f"unix://{lab.manager_socket}", "DOCKER_CONFIG": str(lab.local)}
    assert machine.local(inside, labs=labs).url == "unix:///var/run/docker.sock"
    elsewhere = {"DOCKER_HOST": "unix:///run/other.sock"}
    assert machine.local(elsewhere, labs=labs).url == "unix:///run/other.sock"
    recorded = dataclasses.replace(RECORD, engine="unix:///run/recorded.sock")
    assert machine.of(recorded).url == "unix:///run/recorded.sock"
