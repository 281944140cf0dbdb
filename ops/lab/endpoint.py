"""Where a lab's swarm is managed from: a node that answers as a manager just now."""

from __future__ import annotations

import concurrent.futures
import os
import socket
import threading
import time
from pathlib import Path

import docker
import requests

from ops.errors import HostError
from ops.host.endpoint import Endpoint
from ops.lab.record import Record, require
from ops.lab.reference import Lab, node_name

_ANSWER_SECONDS = 4.0
# A swarm that loses its leader is silent for 10 to 17 s (measured) until it has another.
_ELECTION_SECONDS = 40.0
_BETWEEN_SECONDS = 0.5


def of_node(lab: Lab, slot: int) -> Endpoint:
    """The engine of one node, whatever its state."""
    return Endpoint(f"unix://{lab.socket(slot)}", f"node {node_name(slot)} of lab {lab.name}")


def manager(lab: Lab, wait_seconds: float = _ELECTION_SECONDS) -> int:
    """The slot of a node whose engine can manage the swarm: the last one that was used, else another.

    It stays the same for as long as it answers, since volumes are each engine's own. Waits for an election that is
    under way.

    Raises UsageError where there is no such lab, HostError where none answers in time.
    """
    record = require(lab)
    deadline = time.monotonic() + wait_seconds
    while (found := _first(lab, record)) is None:
        if time.monotonic() > deadline:
            raise HostError(
                f"No node of lab {lab.name!r} answers as a manager; look at `./pidea lab status{lab.arguments}`, "
                f"end its faults (`./pidea lab heal`), or start what was stopped with `./pidea lab up{lab.arguments}`."
            )
        time.sleep(_BETWEEN_SECONDS)
    return found


def of(lab: Lab, wait_seconds: float = _ELECTION_SECONDS) -> Endpoint:
    """The engine of `manager`, by an address that is the same whichever node that is: Pulumi keeps it in its state.

    Every call makes the address lead to the node that answers at that moment.
    """
    slot = manager(lab, wait_seconds)
    if not _is_current(lab, slot):
        new = lab.folder / f"manager.{os.getpid()}.{threading.get_ident()}"
        new.symlink_to(_link(lab, slot))
        new.rename(lab.manager_socket)
    return Endpoint(f"unix://{lab.manager_socket}", f"lab {lab.name}")


def _first(lab: Lab, record: Record) -> int | None:
    current = [slot for slot in record.slots if _is_current(lab, slot)]
    if current and _manages(lab, current[0]):
        return current[0]
    others = [slot for slot in record.slots if slot not in current]
    pool = concurrent.futures.ThreadPoolExecutor(len(others))
    try:
        asked = {pool.submit(_manages, lab, slot): slot for slot in others}
        return next((asked[done] for done in concurrent.futures.as_completed(asked) if done.result()), None)
    finally:
        pool.shutdown(wait=False)  # a node that is paused takes its time, and the others have answered


def _is_current(lab: Lab, slot: int) -> bool:
    return lab.manager_socket.is_symlink() and lab.manager_socket.readlink() == _link(lab, slot)


def _link(lab: Lab, slot: int) -> Path:
    return lab.socket(slot).relative_to(lab.folder)


def _manages(lab: Lab, slot: int) -> bool:
    """Only a manager that the majority follows can list the nodes."""
    # The HTTP client does not close its socket where nobody listens.
    if not _listens(lab, slot):
        return False
    try:
        api = of_node(lab, slot).client(version="1.41", timeout_seconds=_ANSWER_SECONDS)
        try:
            return bool(api.nodes())
        finally:
            api.close()
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError):
        return False


def _listens(lab: Lab, slot: int) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        return probe.connect_ex(str(lab.socket(slot))) == 0
