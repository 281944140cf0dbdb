"""`up` on a stack that is up changes nothing; with ./pidea and with plain Pulumi alike."""

from __future__ import annotations

import shlex

from infra import outputs as keys
from tests.invariants import healthy, wait_until_healthy
from tests.stack import commands
from tests.stack.instance import Instance


def test_up_again_changes_nothing(stack: Instance) -> None:
    again = stack.up().json
    assert again["changes"] == {}
    assert set(again["services"]) == {service.name for service in stack.plan.services}
    assert again["urls"]["app"].endswith(f":{stack.plan.published_ports[0]}")


def test_preview_with_refresh_finds_nothing(stack: Instance) -> None:
    previewed = stack.pidea("preview", "--refresh", "--expect-no-changes", "--json")
    assert previewed.code == 0, previewed.text
    assert previewed.json == {"changes": {}, "resources": []}


def test_plain_pulumi_does_the_same(stack: Instance) -> None:
    shown = stack.pidea("env")
    assert shown.code == 0, shown.text
    name = shlex.quote(stack.stack.name)
    script = f"{shown.output}\npulumi up --yes --skip-preview --refresh --expect-no-changes --stack {name}"
    done = commands.run(["bash", "-euc", script])
    assert done.code == 0, done.text
    assert "unchanged" in done.output


def test_status_says_that_all_is_well(stack: Instance) -> None:
    wait_until_healthy(stack.outputs())
    found = stack.pidea("status", "--json")
    assert found.code == 0, found.text
    assert found.json["healthy"] is True
    assert len(found.json["services"]) == len(stack.outputs()[keys.SERVICES])
    # What the project promises of an idle staging stack.
    assert 0 < found.json["memory_bytes"] < 1.5 * 1024**3


def test_nothing_new_lies_in_the_repository(stack: Instance) -> None:
    assert healthy(stack.outputs()) == []
    assert stack.new_in_git == set()
