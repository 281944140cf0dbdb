"""A restore that is killed at random moments: the next one ends with what was asked for, whatever the last had done."""

from __future__ import annotations

import os
import random
import signal
import time

from tests.deploy.test_restore import Writer, backup, rows_of, text_of
from tests.invariants import wait_until_healthy
from tests.stack import commands
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance

# A restore takes a minute on a machine that has nothing else to do; the second part of it is where files change places.
_KILLED_AFTER_SECONDS = ((5.0, 25.0), (25.0, 55.0))


def test_a_restore_that_is_killed_twice_ends_well_the_third_time(stack: Instance) -> None:
    backup(stack, "now", "--only", "postgres", "--json")
    writer = Writer(Endpoints(stack.outputs()))
    writer.start()
    time.sleep(5)
    moment = time.time()
    time.sleep(3)
    writer.end()
    command = [
        "./pidea",
        "restore",
        "staging",
        "--instance",
        str(stack.stack.instance),
        "--at",
        text_of(moment),
        "--yes",
    ]
    for earliest, latest in _KILLED_AFTER_SECONDS:
        running = commands.start(command)
        time.sleep(random.uniform(earliest, latest))  # noqa: S311 - no secret
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate(timeout=60)
    done = commands.run(command, timeout_seconds=900)
    assert done.code == 0, done.text
    there = rows_of(stack, writer.chat)
    assert {row for row, at in writer.acknowledged.items() if at <= moment} - there == set()
    assert {row for row, at in writer.sent.items() if at > moment} & there == set()
    wait_until_healthy(stack.outputs())
