"""PostgreSQL's cluster goes back to a moment by one command, also by one that was killed half-way, and forth again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

import pytest

from infra import names
from infra.plan.images import POSTGRES_MAJOR
from tests.deploy.test_restore import Writer, text_of
from tests.invariants import wait_until_whole
from tests.prod import asking
from tests.prod.planned import members
from tests.stack import commands
from tests.stack.cluster import Cluster
from tests.stack.endpoints import Endpoints
from tests.stack.prod import Prod

# Three restores, two of them killed on the way, and a drill.
pytestmark = [pytest.mark.operations, pytest.mark.timeout(1800)]

_SECONDS = 900.0
# The first is said when no server runs any more, the second when the files have changed places and etcd has forgotten.
_KILLED_AT = ("storing the last WAL", ", the primary")


def test_the_cluster_goes_back_to_a_moment_and_forth_again(prod: Prod) -> None:
    wait_until_whole(prod)
    backed_up = commands.run(_backup(prod, "now", "--only", "postgres", "--json"), timeout_seconds=300)
    assert backed_up.code == 0, backed_up.text
    endpoints = Endpoints(prod.outputs(), host=prod.address(1))
    writer = Writer(endpoints)
    writer.start()
    time.sleep(6)
    moment = time.time()
    time.sleep(6)
    writer.end()
    later = time.time()
    before = {row for row, at in writer.acknowledged.items() if at <= moment}
    after = {row for row, at in writer.sent.items() if at > moment}
    assert min(len(before), len(after)) > 20

    for line in _KILLED_AT:
        _kill_when_it_says(prod.command("restore", "--at", text_of(moment), "--yes"), line)
    back = prod.pidea("restore", "--at", text_of(moment), "--yes", "--json", timeout_seconds=_SECONDS)
    assert back.code == 0, back.text
    there = _rows(prod, writer.chat)
    assert (before - there, after & there) == (set(), set())
    wait_until_whole(prod)
    # Neither Redis nor a node's disk knows what the database does not.
    for slot in range(1, prod.plan.nodes + 1):
        seen = set(Endpoints(prod.outputs(), host=prod.address(slot)).contents(writer.url))
        assert seen
        assert seen <= there
    endpoints.write(endpoints.messages(), "after the restore")

    drilled = prod.pidea("drill", "--json", timeout_seconds=_SECONDS)
    assert drilled.code == 0, drilled.text

    forth = prod.pidea("restore", "--at", text_of(later), "--yes", "--json", timeout_seconds=_SECONDS)
    assert forth.code == 0, forth.text
    assert set(writer.acknowledged) - _rows(prod, writer.chat) == set()
    wait_until_whole(prod)
    # Nothing of the old files takes room any more.
    now = Cluster.look(prod)
    for name in members(names.POSTGRES):
        assert asking.container(now, name).inside.check_output("ls /data").split() == [POSTGRES_MAJOR]


def test_redis_of_a_cluster_needs_no_restore(prod: Prod) -> None:
    refused = prod.pidea("restore", "--only", "redis", "--yes")
    assert refused.code == 2, refused.text
    assert "needs no restore: it is a cache" in refused.errors


def _backup(prod: Prod, *words: str) -> list[str]:
    return ["./pidea", "backup", words[0], "prod", "--instance", str(prod.stack.instance), *words[1:]]


def _kill_when_it_says(command: Sequence[str], line: str) -> None:
    running = commands.start(command)
    assert running.stderr is not None
    said = []
    for said_line in running.stderr:
        said.append(said_line)
        if line in said_line:
            break
    assert running.poll() is None, "".join(said)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)


def _rows(prod: Prod, chat: str) -> set[str]:
    cluster = Cluster.look(prod)
    servers = members(names.POSTGRES)
    (leader,) = [name for name in servers if asking.psql(cluster, name, "SELECT pg_is_in_recovery()") == "f"]
    sql = f"SELECT content FROM messages WHERE chat_id = '{chat}'"  # noqa: S608 - our own id
    return set(asking.psql(cluster, leader, sql).splitlines())
