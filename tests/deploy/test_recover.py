"""A machine is gone: a new stack, from nothing but the exported backups and their password."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.test_restore import backup
from tests.invariants import wait_until_healthy
from tests.stack import commands, remains
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance

# A second stack beside the first: only where everything is proven.
pytestmark = [pytest.mark.backup, pytest.mark.timeout(1800)]


@pytest.fixture
def new() -> Iterator[Instance]:
    made = Instance.named("new")
    made.remove()
    yield made
    made.remove()


def silences(stack: Instance, command: str, *options: str) -> commands.Finished:
    name = str(stack.stack.instance)
    return commands.run(["./pidea", "silence", command, "staging", *options, "--instance", name], timeout_seconds=60)


def test_rows_and_silences_are_on_the_new_stack(stack: Instance, new: Instance, tmp_path: Path) -> None:
    endpoints = Endpoints(stack.outputs())
    url = endpoints.messages()
    for number in range(50):
        endpoints.write(url, f"row {number}")
    assert silences(stack, "add", "alertname=PideaRedisDown", "--comment", "a test", "--for", "3h").code == 0
    backup(stack, "now", "--json")
    exported, password = tmp_path / "backups.tar", tmp_path / "password"
    backup(stack, "export", str(exported))
    told = ["./pidea", "backup", "password", "staging", "--instance", str(stack.stack.instance)]
    password.write_text(commands.run(told, timeout_seconds=60).output)
    before = endpoints.contents(url)
    assert len(before) >= 50

    done = new.pidea("recover", str(exported), "--password-file", str(password), "--other-stack", "--json")
    assert done.code == 0, done.text
    assert done.json["rows"]["public.messages"] >= 50
    assert done.json["silences"] == 1
    assert done.json["rto_seconds"] > 0
    new.is_current = True
    outputs = new.outputs()
    wait_until_healthy(outputs)
    theirs = Endpoints(outputs)
    same = url.replace(endpoints.app, theirs.app)
    assert theirs.contents(same) == before
    assert [one["comment"] for one in json.loads(silences(new, "list", "--json").output)] == ["a test"]

    # What it has now is not given up unasked, and a wrong password costs nothing.
    asked = new.pidea("recover", str(exported), "--password-file", str(password), "--other-stack")
    assert (asked.code, "is up already" in asked.text) == (2, True), asked.text
    password.write_text("not the password")
    refused = new.pidea("recover", str(exported), "--password-file", str(password), "--other-stack", "--yes")
    assert (refused.code, "the password is wrong" in refused.text) == (4, True), refused.text
    assert theirs.contents(same) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("missing.tar",), "missing.tar is not there"),
        ((), "name the file that `backup export` wrote"),
        (("--offsite",), "has no pidea:backup, offsite"),
        ((__file__, "--at", "yesterday"), "'yesterday' is no time; write 2026-"),
    ],
)
def test_bad_input_brings_nothing_up(new: Instance, tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    _refused(new, tmp_path, "any", options, says)


def test_without_a_password_nothing_is_brought_up(new: Instance, tmp_path: Path) -> None:
    _refused(new, tmp_path, "", (__file__,), "is empty; write into it what `./pidea backup password` printed")


def _refused(new: Instance, tmp_path: Path, secret: str, options: tuple[str, ...], says: str) -> None:
    password = tmp_path / "password"
    password.write_text(secret)
    refused = new.pidea("recover", *options, "--password-file", str(password), "--yes")
    assert (refused.code, says in refused.text) == (2, True), refused.text
    assert not new.stack.folder.exists()
    assert not remains.remains(new.prefix)
