"""What a lab was made with, in a file of its folder; it is there from before its first container to after its last."""

from __future__ import annotations

import dataclasses
import ipaddress
import json

from ops.errors import StateError, UsageError
from ops.lab.reference import Lab

_FILE = "lab.json"
_FIRST_NODE = 10
_REGISTRY = 5
REGISTRY_PORT = 5000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """`engine` is the address of the Docker engine on which the lab's containers run.

    `complete` is false for a lab whose making did not come to its end. `can_encrypt` tells whether the kernel has what
    encrypted overlay networks need.
    """

    nodes: int
    subnet: str
    registry_port: int
    engine: str
    complete: bool = False
    can_encrypt: bool = False

    @property
    def registry(self) -> str:
        """The registry's name in image references: the same on this machine and on every node."""
        return f"127.0.0.1:{self.registry_port}"

    @property
    def registry_address(self) -> str:
        """The registry's address on the lab's network."""
        return str(ipaddress.IPv4Network(self.subnet)[_REGISTRY])

    @property
    def slots(self) -> range:
        """1 to the number of nodes."""
        return range(1, self.nodes + 1)

    def address(self, slot: int) -> str:
        """A node's address on the lab's network, which this machine reaches too."""
        return str(ipaddress.IPv4Network(self.subnet)[_FIRST_NODE + slot])


def read(lab: Lab) -> Record | None:
    """The lab's record, None where there is no such lab. Raises StateError for a damaged file."""
    path = lab.folder / _FILE
    try:
        return Record(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StateError(
            f"{path} cannot be read: {error}. Remove what is left of the lab with `./pidea lab down{lab.arguments}`."
        ) from error


def require(lab: Lab) -> Record:
    """The record of a lab that was brought up. Raises UsageError where there is none."""
    found = read(lab)
    if found is None or not found.complete:
        raise UsageError(f"There is no lab {lab.name!r}; bring it up with `./pidea lab up{lab.arguments}`.")
    return found


def write(lab: Lab, record: Record) -> None:
    """Keeps the record. The folder is for its owner alone: its sockets are root's power over the nodes."""
    lab.folder.mkdir(parents=True, exist_ok=True)
    lab.folder.chmod(0o700)
    new = lab.folder / f"{_FILE}.new"
    new.write_text(json.dumps(dataclasses.asdict(record), indent=2) + "\n")
    new.rename(lab.folder / _FILE)
