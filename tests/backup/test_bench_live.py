"""`./pidea bench backup` on a little data: everything is measured, and nothing of its stack stays, also on Ctrl-C."""

from __future__ import annotations

import signal

import pytest

from ops.bench.backups import INSTANCE
from tests.stack import commands, remains

pytestmark = [pytest.mark.backup, pytest.mark.timeout(1800)]

_COMMAND = [
    "./pidea",
    "bench",
    "backup",
    "--postgres-mib",
    "16",
    "--redis-mib",
    "16",
    "--rounds",
    "1",
    "--loads",
    "1",
    "--json",
]
_KINDS = {"first", "newest", "scattered", "dump", "prepare", "restore", "read back"}


def left() -> list[str]:
    return remains.remains(f"pidea-{INSTANCE}")


def test_all_is_measured_and_nothing_stays() -> None:
    done = commands.run(_COMMAND, timeout_seconds=1500)
    # So little data says nothing about what is asked; a restore that loses a row ends with another code.
    assert done.code in (0, 1), done.text
    costs = done.json["costs"]
    assert {name.rpartition(" ")[0] for name in costs} == _KINDS
    assert all(cost["seconds"] > 0 and cost["cpu_seconds"] >= 0 for rounds in costs.values() for cost in rounds)
    first, newest = costs["first postgres"][0], costs["newest postgres"][0]
    assert newest["size_bytes"] < first["size_bytes"]
    assert all(served["requests"] > 1000 for served in done.json["served"])
    assert left() == []


def test_ctrl_c_leaves_nothing() -> None:
    with commands.start(_COMMAND) as running:
        assert running.stderr is not None
        # What comes before ends in a deployment, which has its own tests.
        next(line for line in running.stderr if "Data" in line)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=300)
    assert running.returncode == 130
    assert left() == []
