"""`lab down`: removes a lab, whole or half made."""

from __future__ import annotations

from ops import console
from ops.errors import StateError
from ops.host.lock import only_one
from ops.lab import machine, record, remains
from ops.lab.record import Record
from ops.lab.reference import Lab
from ops.stack import swarm


def down(lab: Lab) -> int:
    """Removes the lab's containers, volumes, network and folder, and the stacks in it; how many things of Docker's.

    Raises HostError where another checkout has that lab.
    """
    lock = lab.local / "labs" / f"{lab.name}.lock"
    with (
        only_one(lock, lambda: console.say("  another command is at work on it")),
        swarm.client(where=machine.of(_record(lab))) as api,
    ):
        found = remains.find(api, lab)
        remains.require_ours(lab, found)
        remains.remove(api, lab, found)
    return found.count


def _record(lab: Lab) -> Record | None:
    try:
        return record.read(lab)
    except StateError:
        return None  # damaged: the label finds everything on the default engine
