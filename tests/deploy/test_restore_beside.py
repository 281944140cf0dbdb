"""A look at what a backup holds: a throw-away server beside the stack, which does not notice it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ops.stack import copies
from tests.deploy.test_restore import backup
from tests.invariants import wait_until_healthy
from tests.stack import containers, remains
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance

# It takes as long as a restore: only where everything is proven.
pytestmark = pytest.mark.backup


@pytest.fixture
def name(stack: Instance) -> Iterator[str]:
    yield "look"
    stack.pidea("restore", "--into", "look", "--remove")


def look(made: dict[str, Any], *arguments: str) -> str:
    """By the command that a person is told, without a terminal."""
    command = [part for part in shlex.split(made["look"]) if part != "-it"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def ids(stack: Instance) -> set[str]:
    """Of the containers of the stack's services; the copy is none."""
    found = [one for engine in stack.engines.values() for one in containers.on(engine, stack.prefix)]
    return {one.id for one in found if copies.LABEL not in one.details["Config"]["Labels"]}


def test_rows_of_before_a_mistake_are_looked_up_beside_the_stack(stack: Instance, name: str) -> None:
    endpoints = Endpoints(stack.outputs())
    url = endpoints.messages()
    endpoints.write(url, "before the mistake")
    backup(stack, "now", "--only", "postgres", "--json")
    running = ids(stack)
    done = stack.pidea("restore", "--into", name, "--json")
    assert done.code == 0, done.text
    endpoints.write(url, "after the copy")
    wait_until_healthy(stack.outputs())

    asked = "SELECT string_agg(content, ',') FROM messages WHERE content IN ('before the mistake', 'after the copy')"
    assert look(done.json, "-Atc", asked) == "before the mistake"
    assert ids(stack) == running
    assert done.json["rows"]["public.messages"] >= 1

    taken = stack.pidea("restore", "--into", name)
    assert taken.code == 2, taken.text
    assert "--into look --remove" in taken.text

    assert stack.pidea("restore", "--into", name, "--remove").code == 0
    assert [line for line in remains.remains(stack.prefix) if "restored" in line] == []
    assert stack.pidea("restore", "--into", name, "--remove").code == 2


def test_the_cache_is_looked_into_beside_the_stack(stack: Instance, name: str) -> None:
    backup(stack, "now", "--only", "redis", "--json")
    done = stack.pidea("restore", "--only", "redis", "--into", name, "--json")
    assert done.code == 0, done.text
    # What expired meanwhile is not loaded.
    assert 0 <= int(look(done.json, "DBSIZE")) <= done.json["keys"]
