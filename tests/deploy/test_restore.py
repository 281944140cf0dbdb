"""PostgreSQL goes back to a moment while it is written to: every row acknowledged before is there, none after."""

from __future__ import annotations

import datetime
import threading
import time

import pytest
import requests

from infra import names
from tests.invariants import wait_until_healthy
from tests.stack import commands, containers
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance

_WRITERS = 3
_PAUSE_SECONDS = 0.03


class Writer(threading.Thread):
    """Writes numbered messages into a chat of its own, and notes when each was sent and when acknowledged."""

    def __init__(self, endpoints: Endpoints) -> None:
        super().__init__(daemon=True)
        self._endpoints, self._over = endpoints, threading.Event()
        self.url = endpoints.messages()
        self.chat = self.url.split("/")[-2]
        self.sent: dict[str, float] = {}
        self.acknowledged: dict[str, float] = {}

    def run(self) -> None:
        for number in range(1_000_000):
            if self._over.is_set():
                return
            content = f"row {number}"
            self.sent[content] = time.time()
            try:
                self._endpoints.write(self.url, content)
                self.acknowledged[content] = time.time()
            except requests.RequestException:
                pass  # not acknowledged: it may be there or not
            time.sleep(_PAUSE_SECONDS)

    def end(self) -> None:
        self._over.set()
        self.join(60)


def rows_of(stack: Instance, chat: str) -> set[str]:
    postgres = containers.one(stack, names.POSTGRES)
    command = "psql --no-psqlrc --no-align --tuples-only --username=postgres --dbname=pidea --command=%s"
    sql = f"SELECT content FROM messages WHERE chat_id = '{chat}'"  # noqa: S608 - our own id
    return set(postgres.inside.check_output(command, sql).splitlines())


def test_a_restore_is_exact_to_the_moment(stack: Instance) -> None:
    backup(stack, "now", "--only", "postgres", "--json")
    endpoints = Endpoints(stack.outputs())
    writers = [Writer(endpoints) for _ in range(_WRITERS)]
    for writer in writers:
        writer.start()
    time.sleep(6)
    moment = time.time()
    time.sleep(6)
    restored = stack.pidea("restore", "--at", text_of(moment), "--yes", "--json")
    for writer in writers:
        writer.end()
    assert restored.code == 0, restored.text

    lost, kept_after = [], []
    for writer in writers:
        there = rows_of(stack, writer.chat)
        before = {row for row, time_ in writer.acknowledged.items() if time_ <= moment}
        assert len(before) > 20
        # Those sent after the restore had brought the stack back are new.
        after = {row for row, time_ in writer.sent.items() if moment < time_ <= moment + 6}
        assert len(after) > 20
        lost += sorted(before - there)
        kept_after += sorted(after & there)
    assert (lost, kept_after) == ([], [])
    wait_until_healthy(stack.outputs())
    # What was taken away can be had back: until the restore began all of it was stored.
    later = stack.pidea("restore", "--at", text_of(moment + 6), "--yes", "--json")
    assert later.code == 0, later.text
    for writer in writers:
        before = {row for row, time_ in writer.acknowledged.items() if time_ <= moment + 6}
        after = {row for row, time_ in writer.sent.items() if time_ > moment + 6}
        there = rows_of(stack, writer.chat)
        assert (before - there, there & after) == (set(), set())
    # What the caches hold is what the database holds: they were emptied with it.
    page = endpoints.contents(writers[0].url)
    assert page
    assert set(page) <= rows_of(stack, writers[0].chat)


def text_of(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="microseconds")


def test_a_drill_after_it_finds_no_difference(stack: Instance) -> None:
    drilled = stack.pidea("drill", "--json")
    assert drilled.code == 0, drilled.text
    assert drilled.json["rto_seconds"] < 120


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--at", "1999-01-01T00:00:00"), 2, "out of reach; there is "),
        (("--at", "tomorrow"), 2, "is no time"),
        (("--snapshot", "00000000"), 2, "There is no snapshot 00000000"),
        (("--only", "moon"), 2, "there is postgres, redis and alertmanager"),
    ],
)
def test_what_cannot_be_restored_is_refused_and_nothing_is_touched(
    stack: Instance, options: tuple[str, ...], code: int, says: str
) -> None:
    before = {container.id for container in containers.of(stack, names.POSTGRES)}
    refused = stack.pidea("restore", *options, "--yes")
    assert (refused.code, says in refused.text) == (code, True), refused.text
    assert {container.id for container in containers.of(stack, names.POSTGRES)} == before


def backup(stack: Instance, *words: str) -> None:
    command = ["./pidea", "backup", words[0], "staging", "--instance", str(stack.stack.instance), *words[1:]]
    finished = commands.run(command, timeout_seconds=300)
    assert finished.code == 0, finished.text
