"""The database's server is killed while it is written to, and stays away: what the backups have of it then."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import time

import pytest

from infra import names
from ops.stack import scale
from tests.deploy.test_restore import Writer
from tests.invariants import wait_until_healthy
from tests.stack import containers
from tests.stack.containers import Container
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance

_PROGRAM = ("/usr/bin/python3.11", "-m", "ops.backup")
_RPO_SECONDS = 60.0
# The receiver is no synchronous standby: of what was acknowledged just now the last may still have been on its way.
_ON_ITS_WAY_SECONDS = 1.0


def agent(container: Container, *arguments: str) -> dict[str, object]:
    ended = subprocess.run(
        ["docker", "exec", container.id, *_PROGRAM, *arguments],
        env={**os.environ, **container.engine.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


@pytest.mark.parametrize("round_", range(1))
def test_of_a_killed_server_the_backups_have_what_was_acknowledged(stack: Instance, round_: int) -> None:
    service, plan = containers.one(stack, names.BACKUP), stack.plan
    postgres = containers.one(stack, names.POSTGRES)
    count = "psql --no-psqlrc --no-align --tuples-only --username=postgres --dbname=pidea --command=%s"
    before = int(postgres.inside.check_output(count, "SELECT count(*) FROM messages"))
    writer = Writer(Endpoints(stack.outputs()))
    writer.start()
    time.sleep(8 + round_)
    try:
        killed = time.time()
        subprocess.run(["docker", "kill", "--signal=KILL", postgres.id], capture_output=True, check=True, timeout=30)
        scale.stop(stack.stack, plan, names.POSTGRES)
        writer.end()
        listed = agent(service, "list")
        archived = datetime.datetime.fromisoformat(listed["ranges"][-1]["last"]).timestamp()  # type: ignore[index]
        until = datetime.datetime.fromtimestamp(killed, datetime.UTC).isoformat(timespec="microseconds")
        agent(service, "push", "--until", until)
        rows = agent(service, "prepare", "postgres")["rows"]["public.messages"] - before  # type: ignore[index]
    finally:
        scale.start(stack.stack, plan, names.POSTGRES)
    acknowledged = [moment for moment in writer.acknowledged.values() if moment <= killed]
    print(
        f"in the repository until {killed - archived:.1f} s before the kill; of {len(acknowledged)} acknowledged rows"
        f" the receiver lacked {max(0, len(acknowledged) - rows)}"
    )
    assert len(acknowledged) > 50
    assert killed - archived <= _RPO_SECONDS
    assert rows >= sum(moment <= killed - _ON_ITS_WAY_SECONDS for moment in acknowledged)
    wait_until_healthy(stack.outputs())
