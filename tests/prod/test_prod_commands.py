"""A person's commands on the prod stack that is up: nothing to change, all well, and nothing new in the repository."""

from __future__ import annotations

from infra import outputs as keys
from tests.stack.prod import Prod


def test_up_again_changes_nothing(prod: Prod) -> None:
    again = prod.up().json
    assert again["changes"] == {}
    assert set(again["services"]) == {service.name for service in prod.plan.services}


def test_preview_with_refresh_finds_nothing(prod: Prod) -> None:
    previewed = prod.pidea("preview", "--refresh", "--expect-no-changes", "--json")
    assert previewed.code == 0, previewed.text
    assert previewed.json == {"changes": {}, "resources": []}


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
