"""The Docker engine on which a lab's containers run: one on this machine, whatever a shell's DOCKER_HOST says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ops import paths
from ops.errors import HostError
from ops.host import endpoint
from ops.host.endpoint import Endpoint
from ops.lab.record import Record

_NAMED = ("DOCKER_HOST", "DOCKER_CONTEXT")


def local(environ: Mapping[str, str] = os.environ, *, labs: Path = paths.LOCAL / "labs") -> Endpoint:
    """The engine that `docker` would use. Raises HostError for one that is on another machine.

    What `./pidea lab env` exported into this shell is a node of a lab, and no place for another lab.
    """
    found = endpoint.resolve(environ)
    if found.socket is not None and found.socket.is_relative_to(labs):
        found = endpoint.resolve({name: value for name, value in environ.items() if name not in _NAMED})
    if found.socket is None:
        raise HostError(
            f"A lab needs a Docker engine on this machine, and {found.named_by} names {found.url}; "
            "unset it or name a local one."
        )
    return found


def of(record: Record | None) -> Endpoint:
    """The engine that has the lab of `record`; `local` where there is no record."""
    return local() if record is None else Endpoint(record.engine, "the lab's record")
