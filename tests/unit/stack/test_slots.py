"""A place without a node, with two, or whose data is on another node: refused before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ops.errors import HostError
from ops.stack import slots
from tests.unit.stack.plans import THREE_NODES

REDIS, BACKUPS = "pidea-t-redis-data", "pidea-t-backup-data"


def node(name: str, slot: str | None, state: str = "ready") -> dict[str, Any]:
    labels = {} if slot is None else {"dev.pidea.slot": slot}
    return {"ID": name, "Spec": {"Labels": labels}, "Status": {"State": state}, "Description": {"Hostname": name}}


def swarm(*slots_of: str | None) -> list[dict[str, Any]]:
    return [node(f"n{number}", slot) for number, slot in enumerate(slots_of, 1)]


def refuse(
    nodes: Sequence[Mapping[str, Any]],
    volumes: Mapping[str, set[str]],
    *,
    empty: Sequence[tuple[str, str]] = (),
    force: bool = False,
) -> None:
    slots.refuse(THREE_NODES, nodes, volumes, lambda node, name: (node, name) not in empty, force=force)


def said(nodes: Sequence[Mapping[str, Any]], volumes: Mapping[str, set[str]] | None = None) -> str:
    with pytest.raises(HostError) as caught:
        refuse(nodes, volumes or {})
    return str(caught.value)


def test_three_numbered_nodes_with_or_without_data_are_well() -> None:
    refuse(swarm("1", "2", "3"), {})
    refuse(swarm("1", "2", "3"), {"n1": set(), "n2": set(), "n3": set()})
    refuse(swarm("1", "2", "3", None), {"n1": {REDIS}, "n2": {REDIS}, "n3": set(), "n4": set()})


@pytest.mark.parametrize("label", [None, "4", "three", ""])
def test_a_place_without_a_node_is_named_with_who_would_be_there(label: str | None) -> None:
    told = said(swarm("1", "2", label))
    assert "No node of the swarm has the label dev.pidea.slot=3" in told
    assert "redis-3" in told
    assert "docker node update --label-add dev.pidea.slot=3 NODE" in told


def test_by_force_the_others_come_up_but_no_data_is_left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    refuse(swarm("1", "2"), {}, force=True)
    assert "by --force: No node of the swarm has the label dev.pidea.slot=3" in capsys.readouterr().err
    with pytest.raises(HostError, match="without its data"):
        refuse(swarm("1", "2", None, "3"), {"n3": {REDIS}, "n4": set()}, force=True)


def test_two_nodes_in_one_place_are_refused_and_one_that_is_gone_does_not_count() -> None:
    assert "n3 and n4 both have the label dev.pidea.slot=3" in said(swarm("1", "2", "3", "3"))
    refuse([*swarm("1", "2"), node("n3", "3", "down"), node("n4", "3")], {})


def test_data_that_is_left_on_a_node_without_the_label_is_not_left_behind() -> None:
    everywhere = {"n1": {REDIS}, "n2": {REDIS}, "n3": {REDIS}, "n4": set[str]()}
    told = said(swarm("1", "2", None, "3"), everywhere)
    assert "redis-3 would start on n4 without its data: the volume pidea-t-redis-data is on n3" in told
    # Knowingly: the volume is gone, or the node that has it is.
    refuse(swarm("1", "2", None, "3"), {**everywhere, "n3": set()})
    refuse(swarm("1", "2", "3"), {"n1": {REDIS}, "n2": {REDIS}, "n3": set()})


def test_two_nodes_that_changed_places_are_seen_by_what_only_one_of_them_has() -> None:
    told = said(swarm("1", "3", "2"), {"n1": {REDIS}, "n2": {REDIS}, "n3": {REDIS, BACKUPS}})
    assert "backup would start on n2 without its data: the volume pidea-t-backup-data is on n3" in told


def test_an_engine_that_cannot_be_asked_is_taken_to_be_well() -> None:
    refuse(swarm("1", "2", None, "3"), {"n3": {REDIS}})


def test_the_empty_volume_that_pulumi_makes_on_the_manager_is_no_data() -> None:
    """As after a first `up` that was interrupted before the backup service had started on its node."""
    made = {"n1": {REDIS, BACKUPS}, "n2": set[str](), "n3": set[str]()}
    refuse(swarm("1", "2", "3"), made, empty=[("n1", BACKUPS)])
    assert "the volume pidea-t-backup-data is on n1" in said(swarm("1", "2", "3"), made)
