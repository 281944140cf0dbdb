"""A stack goes to another major version of PostgreSQL and of Redis and back, while people have written to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra import names
from tests.invariants import wait_until_healthy
from tests.stack import commands, containers
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance

# Long: two releases of Debian are brought up to date where the machine has no such image yet.
pytestmark = pytest.mark.backup


@pytest.fixture
def changing(stack: Instance) -> Iterator[Instance]:
    """The stack, on its own versions again afterwards."""
    try:
        yield stack
    finally:
        configure(stack, names.POSTGRES, "15")
        configure(stack, names.REDIS, "7")
        for server in (names.POSTGRES, names.REDIS):
            upgrade(stack, server, "--back", "--yes")
        stack.ensure_up()


def configure(stack: Instance, server: str, version: str) -> None:
    stack.configure({f"pidea:{server}": {"version": version}})


def upgrade(stack: Instance, server: str, *options: str) -> commands.Finished:
    command = ["./pidea", "upgrade", "staging", server, "--instance", str(stack.stack.instance), *options]
    return commands.run(command, timeout_seconds=1800)


def version(stack: Instance, server: str) -> str:
    command = "postgres --version" if server == names.POSTGRES else "redis-server --version"
    return str(containers.one(stack, server).inside.check_output(command))


def test_postgres_goes_to_another_major_version_and_back(changing: Instance) -> None:
    stack = changing
    url = Endpoints(stack.outputs()).messages()
    for number in range(20):
        Endpoints(stack.outputs()).write(url, f"row {number}")
    before = Endpoints(stack.outputs()).contents(url)

    configure(stack, names.POSTGRES, "17")
    refused = stack.pidea("up")
    assert (refused.code, "`./pidea upgrade staging" in refused.text) == (2, True), refused.text
    assert "PostgreSQL) 15." in version(stack, names.POSTGRES)
    done = upgrade(stack, names.POSTGRES, "--yes", "--json")
    assert done.code == 0, done.text
    assert done.json["rows"]["public.messages"] >= 20
    assert "PostgreSQL) 17." in version(stack, names.POSTGRES)
    wait_until_healthy(stack.outputs())
    assert Endpoints(stack.outputs()).contents(url) == before
    assert upgrade(stack, names.POSTGRES, "--yes").code == 0  # nothing to be done
    drilled = stack.pidea("drill", "--json")
    assert drilled.code == 0, drilled.text
    restored = stack.pidea("restore", "--yes", "--json")
    assert restored.code == 0, restored.text
    assert "PostgreSQL) 17." in version(stack, names.POSTGRES)
    assert Endpoints(stack.outputs()).contents(url) == before

    Endpoints(stack.outputs()).write(url, "only in 17")
    configure(stack, names.POSTGRES, "15")
    assert upgrade(stack, names.POSTGRES, "--yes").code == 2  # not without --back
    said = upgrade(stack, names.POSTGRES, "--back", "--check")
    assert "public.messages: " in said.text
    back = upgrade(stack, names.POSTGRES, "--back", "--yes", "--json")
    assert back.code == 0, back.text
    assert "PostgreSQL) 15." in version(stack, names.POSTGRES)
    wait_until_healthy(stack.outputs())
    # No cache may know the row that is not there any more.
    assert Endpoints(stack.outputs()).contents(url) == before
    forgotten = upgrade(stack, names.POSTGRES, "--forget", "--yes")
    assert "given-up-17 are gone" in forgotten.text
    assert containers.one(stack, names.POSTGRES).inside.check_output("ls /data").split() == ["15"]


def test_redis_goes_to_another_major_version_and_back(changing: Instance) -> None:
    stack = changing
    url = Endpoints(stack.outputs()).messages()
    Endpoints(stack.outputs()).write(url, "kept")
    configure(stack, names.REDIS, "8")
    done = upgrade(stack, names.REDIS, "--yes", "--json")
    assert done.code == 0, done.text
    assert " v=8." in version(stack, names.REDIS)
    configure(stack, names.REDIS, "7")
    back = upgrade(stack, names.REDIS, "--back", "--yes", "--json")
    assert back.code == 0, back.text
    assert " v=7." in version(stack, names.REDIS)
    wait_until_healthy(stack.outputs())
    assert Endpoints(stack.outputs()).contents(url) == ["kept"]


def test_what_debian_does_not_have_is_refused_and_nothing_is_touched(changing: Instance) -> None:
    stack = changing
    before = {container.id for container in containers.of(stack, names.POSTGRES)}
    configure(stack, names.POSTGRES, "15.99")
    refused = upgrade(stack, names.POSTGRES, "--yes")
    assert (refused.code, "it offers 15." in refused.text) == (3, True), refused.text
    assert {container.id for container in containers.of(stack, names.POSTGRES)} == before
