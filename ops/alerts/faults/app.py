"""Faults of what users talk to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infra import names
from ops.alerts.fault import Fault
from ops.alerts.faults.acts import held
from ops.alerts.scene import Scene

# One timer in forty is late: enough for the alert, too few slow requests for a promise to be broken.
_STALL_SECONDS = 0.4
_BETWEEN_SECONDS = 4.0
# Of the 4,096 that an edge takes.
_SESSIONS = 3450


@contextlib.contextmanager
def _stalling(scene: Scene) -> Iterator[None]:
    with scene.again_and_again(lambda: scene.stall(names.APP, _STALL_SECONDS), _BETWEEN_SECONDS):
        yield


@contextlib.contextmanager
def _sessions(scene: Scene) -> Iterator[None]:
    host = names.physical(scene.target.instance, names.EDGE)
    with held("sessions", host, str(names.EDGE_PUBLIC_PORT), str(_SESSIONS))(scene):
        yield


LAGGING = Fault(
    name="event-loop-stalls",
    summary="A replica of the application stands still for 0.4 s every 4 s, for over five minutes",
    alerts=("PideaEventLoopLagging",),
    act=_stalling,
    patience_seconds=480.0,
)
CONNECTIONS_FULL = Fault(
    name="edge-connections-full",
    summary=f"{_SESSIONS:,} connections to the edge are kept open",
    alerts=("PideaEdgeConnectionsFull",),
    act=_sessions,
    patience_seconds=300.0,
)
