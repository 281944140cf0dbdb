"""Faults of what tells of faults."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infra import names
from ops.alerts.fault import Fault
from ops.alerts.faults.acts import held
from ops.alerts.scene import Scene

# Two minutes of it, a scrape and an evaluation; told is it when somebody can be told again.
_UNTOLD_SECONDS = 165.0


@contextlib.contextmanager
def _nobody_takes_alerts(scene: Scene) -> Iterator[None]:
    with scene.witness.hold("alert", "PideaProofStanding", "warning"), scene.stopped(names.ALERTMANAGER):
        scene.effect()
        scene.hold(_UNTOLD_SECONDS)
    yield


NOT_DELIVERED = Fault(
    name="receiver-refuses",
    summary="A receiver takes none of the pages about one alert",
    alerts=("PideaPagesNotDelivered",),
    act=held("alert", "PideaProofRefused", "critical", "refused=yes"),
    patience_seconds=360.0,
)
NOT_TAKEN = Fault(
    name="alertmanager-stopped",
    summary="No Alertmanager runs, for almost three minutes",
    alerts=("PideaAlertsNotTaken",),
    act=_nobody_takes_alerts,
    patience_seconds=240.0,
)
