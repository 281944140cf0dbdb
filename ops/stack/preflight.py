"""What must be true of the machine before anything is touched: free ports and names, enough disk and memory."""

from __future__ import annotations

import errno
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docker
import psutil

from infra.names import physical
from infra.spec import MIB, DeploymentPlan
from ops.errors import HostError
from ops.host import endpoint
from ops.stack import swarm

# Measured on Debian 12: all images with their build's layers take 2.2 GiB; the rest is for logs and data.
FIRST_RUN_DISK_BYTES = 4096 * MIB
LATER_DISK_BYTES = 1024 * MIB


def check(plan: DeploymentPlan, known_names: Iterable[str]) -> None:
    """Raises HostError for the first thing that would make the deployment fail.

    `known_names` are the names in Docker that the stack's state owns.
    """
    with swarm.client() as api:
        running = swarm.services(api, plan.instance)
        _names_free(api, plan, frozenset(known_names))
        if endpoint.resolve().socket is None:
            return  # ports, disk and memory are another machine's
        published = {port for service in running.values() for port in service.ports}
        for port in plan.published_ports:
            if port not in published:
                check_port(port)
        root = Path(api.info().get("DockerRootDir") or "/")
    check_disk(root, LATER_DISK_BYTES if running else FIRST_RUN_DISK_BYTES)
    if not running:
        check_memory(plan.memory_reservation_bytes)


def check_port(port: int) -> None:
    """Raises HostError where something listens on TCP `port` of any of this machine's addresses."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - as Docker will
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # Docker's own proxy sets it too; without it, closed connections of the past would count as taken.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise HostError(
                    f"Port {port} is already taken{_taken_by(port)}; "
                    "end what listens there, or set another port under pidea:edge."
                ) from error


def check_disk(root: Path, needed_bytes: int) -> None:
    """Raises HostError where the file system of `root` (or its nearest parent here) has less space left."""
    place = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise HostError(
            f"{place} has {free // MIB} MiB free, and images and data need {needed_bytes // MIB} MiB; "
            "make room (`docker system prune` removes what nothing uses)."
        )


def check_memory(needed_bytes: int) -> None:
    """Raises HostError where less memory is available than the services reserve together."""
    available = psutil.virtual_memory().available
    if available < needed_bytes:
        raise HostError(
            f"{available // MIB} MiB of memory are available, and the services reserve {needed_bytes // MIB} MiB; "
            "end other programs or stacks, or use a larger machine."
        )


def _names_free(api: docker.APIClient, plan: DeploymentPlan, known: frozenset[str]) -> None:
    existing: tuple[tuple[str, list[str], dict[str, Any]], ...] = (
        (
            "service",
            [physical(plan.instance, service.name) for service in plan.services],
            {item["Spec"]["Name"]: item["Spec"].get("Labels") for item in api.services()},  # type: ignore[no-untyped-call]
        ),
        (
            "network",
            [physical(plan.instance, network.name) for network in plan.networks],
            {item["Name"]: item.get("Labels") for item in api.networks()},
        ),
        (
            "volume",
            [physical(plan.instance, volume.name) for volume in plan.volumes],
            {item["Name"]: item.get("Labels") for item in api.volumes().get("Volumes") or []},
        ),
    )
    for kind, wanted, there in existing:
        for name in wanted:
            if name not in there or name in known:
                continue
            ours = (there[name] or {}).get(swarm.INSTANCE_LABEL) == plan.instance
            whose = "is left of a stack whose state is gone" if ours else "was not made by this project"
            raise HostError(
                f"The {kind} {name} exists and {whose}; "
                f"remove it (docker {kind} rm {name}) if nothing needs it, or set another pidea:instance."
            )


def _taken_by(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.pid
            if listens and connection.laddr and connection.laddr.port == port:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass  # only root sees other users' sockets; the port's number is enough to go on
    return ""
