"""What runs is gone, stands still, or comes again and again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infra import names
from ops.alerts.fault import Fault
from ops.alerts.faults.acts import paused, stopped
from ops.alerts.scene import Scene

# One was there before; the alert is about more than three within a quarter of an hour.
_REPLACED = 4
# Long enough that Prometheus has found (5 s) and asked (15 s) each of them.
_BETWEEN_SECONDS = 25.0


@contextlib.contextmanager
def _flap(scene: Scene) -> Iterator[None]:
    scene.effect()
    count = iter(range(_REPLACED))

    def again() -> None:
        if next(count, None) is not None:
            scene.replace(names.DASHBOARDS)

    with scene.again_and_again(again, _BETWEEN_SECONDS):
        yield


@contextlib.contextmanager
def _out_of_memory(scene: Scene) -> Iterator[None]:
    scene.witness.run(["timeout", "30", "tail", "/dev/zero"], may_fail=True)
    yield


APP_ABSENT = Fault(
    name="app-stopped",
    summary="No replica of the application runs",
    alerts=("PideaAppAbsent",),
    act=stopped(names.APP),
)
EDGE_ABSENT = Fault(
    name="edge-stopped",
    summary="The edge does not run",
    alerts=("PideaEdgeAbsent",),
    act=stopped(names.EDGE),
)
TARGET_DOWN = Fault(
    name="jaeger-paused",
    summary="Jaeger stands still and answers nobody",
    alerts=("PideaTargetDown",),
    labels={"service": names.JAEGER},
    act=paused(names.JAEGER),
)
FLAPPING = Fault(
    name="dashboards-flapping",
    summary="The dashboards' container ends four times",
    alerts=("PideaTaskFlapping",),
    labels={"service": names.DASHBOARDS},
    act=_flap,
    # For a moment a task and the one in its place are both there, and it does not fire; told is it with the next
    # warnings then, five minutes later.
    patience_seconds=600.0,
)
OUT_OF_MEMORY = Fault(
    name="out-of-memory",
    summary="A process takes more memory than its container may have",
    alerts=("PideaContainerOutOfMemory",),
    act=_out_of_memory,
)
