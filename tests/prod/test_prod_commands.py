"""A person's commands on the prod stack that is up: nothing to change, all well, and nothing new in the repository."""

from __future__ import annotations

from pathlib import Path

from infra import outputs as keys
from ops.lab import record
from tests.stack.prod import Prod


def test_up_again_changes_nothing(prod: Prod) -> None:
    again = prod.up().json
    assert again["changes"] == {}
    assert set(again["services"]) == {service.name for service in prod.plan.services}


def test_preview_with_refresh_finds_nothing(prod: Prod) -> None:
    previewed = prod.pidea("preview", "--refresh", "--expect-no-changes", "--json")
    assert previewed.code == 0, previewed.text
    assert previewed.json == {"changes": {}, "resources": []}


def test_by_another_manager_there_is_nothing_to_change_either(prod: Prod) -> None:
    """As after the loss of the node by which the stack was deployed. Each engine has volumes of its own."""
    chosen = prod.lab.manager_socket
    was = chosen.readlink()
    other = next(slot for slot in record.require(prod.lab).slots if f"n{slot}/" not in str(was))
    try:
        _lead(chosen, Path(str(was).replace(was.parts[0], f"n{other}")))
        previewed = prod.pidea("preview", "--refresh", "--json")
        assert previewed.code == 0, previewed.text
        # A volume that only this engine lacks, since its task is elsewhere, is made there and stays empty.
        assert [line for line in previewed.json["resources"] if not line.startswith("create volume ")] == []
    finally:
        _lead(chosen, was)


def _lead(link: Path, target: Path) -> None:
    new = link.with_suffix(".new")
    new.symlink_to(target)
    new.rename(link)


def test_status_says_that_all_is_well(prod: Prod) -> None:
    found = prod.pidea("status", "--json")
    assert found.code == 0, found.text
    assert found.json["healthy"] is True
    assert len(found.json["services"]) == len(prod.outputs()[keys.SERVICES])


def test_the_lab_says_so_too(prod: Prod) -> None:
    found = prod.lab_command("status", "--json").json
    assert found["well"] is True
    assert len(found["nodes"]) == prod.plan.nodes
    assert {url.partition(":")[0] for url in found["urls"].values()} == {"https"}


def test_nothing_new_lies_in_the_repository(prod: Prod) -> None:
    assert prod.new_in_git == set()
