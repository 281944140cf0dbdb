"""Faults of the one Redis."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infra import names
from ops.alerts.fault import Fault
from ops.alerts.faults.acts import stopped, stroke
from ops.alerts.scene import Scene

# The next file that Redis will append to is a device on which no space is ever left.
_FULL = (
    "cd /data/appendonlydir && next=$(($(sed -n 's/.*seq \\([0-9]*\\) type i.*/\\1/p' *.manifest | tail -1) + 1)) "
    "&& ln -sf /dev/full appendonly.aof.$next.incr.aof"
)


@contextlib.contextmanager
def _no_space(scene: Scene) -> Iterator[None]:
    scene.members.run(names.REDIS, ("sh", "-c", _FULL))
    try:
        scene.witness.stroke("rewrite")
        yield
    finally:
        # Written anew, on the disk; the device's name goes with the files of before.
        scene.witness.stroke("rewrite")


REFUSED = Fault(
    name="redis-connections-refused",
    summary="Redis has no room for another connection, for a moment",
    alerts=("PideaRedisConnectionsRefused",),
    act=stroke("refused", "5"),
)
WRITES_FAILING = Fault(
    name="redis-disk-full",
    summary="No space is left for Redis' append-only file",
    alerts=("PideaRedisWritesFailing",),
    act=_no_space,
)
DOWN = Fault(
    name="redis-stopped",
    summary="Redis does not run",
    alerts=("PideaRedisDown", "PideaCircuitBreakerOpen"),
    act=stopped(names.REDIS),
    patience_seconds=300.0,
)
