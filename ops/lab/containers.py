"""The containers of a lab as Docker's API takes them. Pure."""

from __future__ import annotations

import os
from typing import Any

from ops.lab.record import REGISTRY_PORT, Record
from ops.lab.reference import FOLDER_LABEL, LABEL, SLOT_LABEL, Lab, node_name

# The file system of a node's volumes; sparse, so that it takes what is written.
VOLUMES_MIB = 4096
_SOCKET_FOLDER = "/run/lab"
_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}
# Says whose registry it is: another program may have been given the port meanwhile.
REGISTRY_HEADER = "X-Pidea-Lab"


def labels(lab: Lab) -> dict[str, str]:
    """What everything of the lab carries in Docker."""
    return {LABEL: lab.name, FOLDER_LABEL: str(lab.folder)}


def network(lab: Lab, subnet: str) -> dict[str, Any]:
    """Arguments for the network."""
    return {
        "name": lab.docker_name,
        "driver": "bridge",
        "check_duplicate": True,
        "labels": labels(lab),
        "ipam": {"Driver": "default", "Config": [{"Subnet": subnet}]},
    }


def registry(lab: Lab, record: Record, image: str) -> dict[str, Any]:
    """The registry: an ordinary container without privileges, on this machine's loopback only."""
    port = f"{REGISTRY_PORT}/tcp"
    return {
        "Image": image,
        "Hostname": "registry",
        "Labels": labels(lab),
        "Env": [f"REGISTRY_HTTP_HEADERS={{{REGISTRY_HEADER}: [{lab.name}]}}"],
        "ExposedPorts": {port: {}},
        "HostConfig": {
            "Mounts": [_volume(lab.registry, "/var/lib/docker-registry")],
            "PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": str(record.registry_port)}]},
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": _LOG,
        },
        "NetworkingConfig": _address(lab, record.registry_address),
    }


def node(lab: Lab, record: Record, slot: int, image: str) -> dict[str, Any]:
    """A node.

    Everything but SYS_RESOURCE: an engine needs nearly all, and `--privileged` asks for that one too, which a machine
    that is itself confined may not have to give.
    """
    environment = {
        "LAB_SOCKET_FOLDER": _SOCKET_FOLDER,
        "LAB_SOCKET_GROUP": os.getgid(),
        "LAB_REGISTRY": f"{record.registry_address}:{REGISTRY_PORT}",
        "LAB_REGISTRY_PORT": record.registry_port,
        "LAB_VOLUMES_MIB": VOLUMES_MIB,
    }
    return {
        "Image": image,
        "Hostname": node_name(slot),
        "Labels": labels(lab) | {SLOT_LABEL: str(slot)},
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "StopTimeout": 30,
        "HostConfig": {
            "Mounts": [
                _volume(lab.container(slot), "/var/lib/docker"),
                {"Type": "bind", "Source": str(lab.socket_folder(slot)), "Target": _SOCKET_FOLDER},
            ],
            "CapAdd": ["ALL"],
            "CapDrop": ["SYS_RESOURCE"],
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
            # Nothing masked: as `--security-opt systempaths=unconfined` says it to the command line.
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "DeviceCgroupRules": ["a *:* rwm"],
            "LogConfig": _LOG,
        },
        "NetworkingConfig": _address(lab, record.address(slot)),
    }


def _volume(name: str, target: str) -> dict[str, str]:
    return {"Type": "volume", "Source": name, "Target": target}


def _address(lab: Lab, address: str) -> dict[str, Any]:
    return {"EndpointsConfig": {lab.docker_name: {"IPAMConfig": {"IPv4Address": address}}}}
