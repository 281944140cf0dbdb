"""Acts that several faults share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ops.alerts.fault import Act
from ops.alerts.scene import Scene


def stopped(service: str) -> Act:
    """No task of the service runs."""
    return lambda scene: scene.stopped(service)


def paused(*services: str) -> Act:
    """The services stand still."""
    return lambda scene: scene.paused(*services)


def held(what: str, *arguments: str) -> Act:
    """The witness holds something, `chaos.holds`."""
    return lambda scene: scene.witness.hold(what, *arguments)


def stroke(what: str, *arguments: str) -> Act:
    """The witness does something that is over at once, `chaos.strokes`."""

    @contextlib.contextmanager
    def act(scene: Scene) -> Iterator[None]:
        scene.witness.stroke(what, *arguments)
        yield

    return act
