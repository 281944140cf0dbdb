"""What must be true of the machine before anything is touched: free ports and names, enough disk and memory."""

from __future__ import annotations

import errno
import re
import shutil
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import docker
import psutil

from infra.names import physical
from infra.spec import MIB, DeploymentPlan
from ops import console
from ops.errors import HostError
from ops.host import endpoint
from ops.host.endpoint import Endpoint
from ops.stack import swarm

# Measured on Debian 12: all images with their build's layers take 2.2 GiB; the rest is for logs and data.
FIRST_RUN_DISK_BYTES = 4096 * MIB
LATER_DISK_BYTES = 1024 * MIB
# What the program puts behind a name whose content it cannot change: a version, a digest.
_NAME_SUFFIX = r"(-v\d+)?(-[0-9a-f]{6,})?"


def check(
    plan: DeploymentPlan,
    known_names: Iterable[str],
    *,
    where: Endpoint | None = None,
    machine: Endpoint | None = None,
) -> None:
    """Raises HostError for the first thing that would make the deployment fail.

    `known_names` are the names in Docker that the stack's state owns. `where` is the swarm's manager, None for the
    engine that the docker command line would use. `machine` is the engine on which the nodes of a lab are containers:
    their ports are their own, their disk and memory are that machine's.
    """
    where = where or endpoint.resolve()
    if plan.nodes > 1 and plan.registry is None:
        raise HostError(
            f"{plan.instance} has {plan.nodes} nodes, and they have no registry to pull its images from; set "
            "pidea:registry to one that you may push to, or rehearse on this machine: `./pidea up prod --lab`."
        )
    with swarm.client(where=where) as api:
        running = swarm.services(api, plan.instance)
        _names_free(api, plan, frozenset(known_names))
        _reservations_fit(api, plan)
        if where.socket is None:
            return  # ports, disk and memory are another machine's
        root = Path(api.info().get("DockerRootDir") or "/")
    if machine is None:
        published = {port for service in running.values() for port in service.ports}
        for port in plan.published_ports:
            if port not in published:
                check_port(port)
    else:
        with swarm.client(where=machine) as api:
            root = Path(api.info().get("DockerRootDir") or "/")
    check_disk(root, LATER_DISK_BYTES if running else FIRST_RUN_DISK_BYTES)
    check_memory(plan.memory_reservation_bytes - sum(s.memory_reservation_bytes for s in running.values()))


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
    """Raises HostError where less memory is available than the services that are yet to start reserve together."""
    available = psutil.virtual_memory().available
    if available < needed_bytes:
        raise HostError(
            f"{available // MIB} MiB of memory are available, and the services to start reserve "
            f"{needed_bytes // MIB} MiB; end other programs or stacks, or use a larger machine."
        )


def _reservations_fit(api: docker.APIClient, plan: DeploymentPlan) -> None:
    """Swarm leaves a task pending for ever, without an error, where no node can keep its memory for it."""
    nodes = [node for node in api.nodes() if node["Spec"].get("Availability") == "active"]
    services: list[dict[str, Any]] = api.services()  # type: ignore[no-untyped-call]
    total = sum(int(node["Description"]["Resources"].get("MemoryBytes", 0)) for node in nodes)
    others = sum(
        swarm.reserved_bytes(item)
        for item in services
        if (item["Spec"].get("Labels") or {}).get(swarm.INSTANCE_LABEL) != plan.instance
    )
    if plan.memory_reservation_bytes > total - others:
        raise HostError(
            f"The services reserve {plan.memory_reservation_bytes // MIB} MiB of memory, and the swarm has "
            f"{max(0, total - others) // MIB} MiB left to reserve; remove other stacks, or use larger machines."
        )


def _names_free(api: docker.APIClient, plan: DeploymentPlan, known: frozenset[str]) -> None:
    services = api.services()  # type: ignore[no-untyped-call]
    configs = api.configs()  # type: ignore[no-untyped-call]
    volumes = api.volumes().get("Volumes") or []
    _kind_free("service", plan, [s.name for s in plan.services], _labels_by_name(services), known)
    _kind_free("network", plan, [n.name for n in plan.networks], _labels_by_name(api.networks()), known)
    _kind_free("volume", plan, [v.name for v in plan.volumes], _labels_by_name(volumes), known)
    _kind_free("secret", plan, [s.name for s in plan.secrets], _labels_by_name(api.secrets()), known)
    _kind_free("config", plan, [c.name for c in plan.configs], _labels_by_name(configs), known)


def _kind_free(
    kind: str,
    plan: DeploymentPlan,
    logical_names: Iterable[str],
    there: Mapping[str, Mapping[str, str]],
    known: frozenset[str],
) -> None:
    for logical in logical_names:
        ours = re.compile(re.escape(physical(plan.instance, logical)) + _NAME_SUFFIX)
        for name, labels in there.items():
            if name in known or not ours.fullmatch(name):
                continue
            left = labels.get(swarm.INSTANCE_LABEL) == plan.instance
            if left and kind == "volume":
                console.say(f"  the data in volume {name} is used again")
                continue
            whose = "is left of a stack whose state is gone" if left else "was not made by this project"
            raise HostError(
                f"The {kind} {name} exists and {whose}; "
                f"remove it (docker {kind} rm {name}) if nothing needs it, or set another pidea:instance."
            )


def _labels_by_name(items: Iterable[dict[str, Any]]) -> dict[str, Mapping[str, str]]:
    # Networks and volumes have their name at the top, what is Swarm's own has it in its specification.
    found = ((item, item.get("Spec") or item) for item in items)
    return {item.get("Name") or spec["Name"]: spec.get("Labels") or {} for item, spec in found}


def _taken_by(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.pid
            if listens and connection.laddr and connection.laddr.port == port:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass  # only root sees other users' sockets; the port's number is enough to go on
    return ""
