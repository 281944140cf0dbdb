"""What a lab and its nodes may be called, and where their sockets are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.errors import UsageError
from ops.lab import reference


@pytest.mark.parametrize("name", ["", "Lab", "1st", "two--dashes", "dash-", "a" * 19, "a/b", "a b"])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a lab"):
        reference.resolve(name, local=tmp_path)


def test_a_path_that_no_socket_can_have_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    with pytest.raises(UsageError, match="shorter"):
        reference.resolve("lab", local=deep)
    assert not deep.exists()


def test_the_longest_path_that_is_taken_is_one_that_a_socket_can_have(tmp_path: Path) -> None:
    import socket

    used = len(str(reference.Lab("lab", tmp_path).socket(99)))
    local = tmp_path / ("d" * (107 - used - 1))
    lab = reference.resolve("lab", local=local)
    lab.socket_folder(99).mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(lab.socket(99)))
    with pytest.raises(UsageError, match="shorter"):
        reference.resolve("lab", local=local.with_name(local.name + "d"))


@pytest.mark.parametrize(("node", "slot"), [("n1", 1), ("3", 3), ("n3", 3)])
def test_a_node_has_its_slot(node: str, slot: int) -> None:
    assert reference.slot_of(node, 3) == slot


@pytest.mark.parametrize("node", ["n0", "n4", "0", "", "x1", "n1 ", "-1", "n01"])
def test_a_node_that_is_not_there_is_refused(node: str) -> None:
    with pytest.raises(UsageError, match="n1, n2, n3"):
        reference.slot_of(node, 3)


def test_two_labs_share_no_name(tmp_path: Path) -> None:
    one, other = (reference.Lab(name, tmp_path) for name in ("a", "b"))
    names = [{lab.docker_name, lab.registry, lab.container(1), str(lab.folder)} for lab in (one, other)]
    assert not names[0] & names[1]
