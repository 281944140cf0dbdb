"""What a lab and its nodes are called, on the command line and in Docker. Pure."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ops import paths
from ops.errors import UsageError

DEFAULT = "lab"
LABEL = "dev.pidea.lab"
# The folder of the lab in the checkout that made it: two checkouts may both have a lab called "lab".
FOLDER_LABEL = "dev.pidea.lab.folder"
SLOT_LABEL = "dev.pidea.lab.slot"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NAME_MAX_LENGTH = 18
_NODE = re.compile(r"n?([1-9][0-9]?)")
# sockaddr_un has room for 108 bytes, the last of which is 0.
_SOCKET_PATH_MAX_BYTES = 107


@dataclasses.dataclass(frozen=True)
class Lab:
    """A lab by name, there or not."""

    name: str
    local: Path = paths.LOCAL

    @property
    def folder(self) -> Path:
        """Where its record and its nodes' sockets are."""
        return self.local / "labs" / self.name

    @property
    def docker_name(self) -> str:
        """Its network in Docker; everything else of it begins with that."""
        return f"pidea-lab-{self.name}"

    @property
    def registry(self) -> str:
        """Its registry's container and volume."""
        return f"{self.docker_name}-registry"

    @property
    def arguments(self) -> str:
        """How a person names it after `./pidea lab …`, with a space before it; empty for the default."""
        return "" if self.name == DEFAULT else f" --name {self.name}"

    def container(self, slot: int) -> str:
        """The container that is node `slot` (1, 2, …), and its volume."""
        return f"{self.docker_name}-{node_name(slot)}"

    def socket_folder(self, slot: int) -> Path:
        """The folder on this machine in which the node's engine puts its socket."""
        return self.folder / node_name(slot)

    def socket(self, slot: int) -> Path:
        """The node's engine."""
        return self.socket_folder(slot) / "docker.sock"

    @property
    def manager_socket(self) -> Path:
        """A link to the socket of a node that manages the swarm: a name that stays when the node is lost."""
        return self.folder / "manager.sock"


def resolve(name: str, *, local: Path = paths.LOCAL) -> Lab:
    """The lab of that name. Raises UsageError where it cannot be one."""
    if not _NAME.fullmatch(name) or len(name) > _NAME_MAX_LENGTH:
        raise UsageError(
            f"{name!r} cannot name a lab; use at most {_NAME_MAX_LENGTH} lower-case letters, digits and single dashes, "
            "starting with a letter."
        )
    lab = Lab(name, local)
    if len(str(lab.socket(99)).encode()) > _SOCKET_PATH_MAX_BYTES:
        raise UsageError(
            f"{lab.socket(99)} is too long for a socket's path ({_SOCKET_PATH_MAX_BYTES} bytes); "
            "give the lab a shorter name, or move the checkout to a shorter path."
        )
    return lab


def node_name(slot: int) -> str:
    """What a node is called: `n1` is in slot 1."""
    return f"n{slot}"


def slot_of(node: str, nodes: int) -> int:
    """The slot of the node that a person calls `n2` or `2`. Raises UsageError where a lab of `nodes` has none such."""
    found = _NODE.fullmatch(node)
    if not found or int(found[1]) > nodes:
        raise UsageError(f"There is no node {node!r}; choose one of: {', '.join(map(node_name, range(1, nodes + 1)))}.")
    return int(found[1])
