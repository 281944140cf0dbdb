"""Published stacks of others, written down as facts and read as the resources that they would be here.

A file of this folder names its source and says of each service: `image` (or `build`), `ports` (`8080`: the same on the
machine and in the container; `5000:80`: the machine's first; `any:6379`: one that Docker chooses; `/udp`), `mounts`
(a volume's name, or a folder of the machine; `ro` where it is read-only), `env`, `args`, `global`, `replicas`,
`constraints`, `limit_mib`, `reserved_mib`, `health`, `update`, `restart_policy`, `restart` (Compose's), and
`stop_grace_period`. What a file does not say is what Docker makes of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pulumi_policy.proxy import unknown_checking_proxy

from policies.view import CONTAINER, IMAGE, NETWORK, SERVICE, VOLUME, View

FOLDER: Final = Path(__file__).parent
MIB: Final = 1024 * 1024
KEYS: Final = frozenset(
    (
        *("image", "build", "ports", "mounts", "env", "args", "global", "replicas", "constraints", "limit_mib"),
        *("reserved_mib", "health", "update", "restart_policy", "restart", "stop_grace_period"),
    )
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """A stack of somebody else: where it is from, and its resources."""

    name: str
    repository: str
    file: str
    commit: str
    services: int
    resources: tuple[View, ...]


def all_of_them() -> list[Published]:
    """In the order of their names."""
    return [_read(path) for path in sorted(FOLDER.glob("*.yaml"))]


def _read(path: Path) -> Published:
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    services: Mapping[str, Mapping[str, Any]] = said["services"]
    volumes = said.get("volumes", [])
    unknown = {key for service in services.values() for key in service} - KEYS
    if unknown:
        raise ValueError(f"{path.name} says what nobody reads: {sorted(unknown)}")
    resources = [
        _resource(NETWORK, "default", {"name": "default", "driver": "overlay"}),
        *(_resource(VOLUME, name, {"name": name, "driver": "local"}) for name in volumes),
        *(found for name, service in services.items() for found in _of(name, service, path.stem, volumes)),
    ]
    return Published(
        name=path.stem,
        repository=said["repository"],
        file=said["file"],
        commit=said["commit"],
        services=len(services),
        resources=tuple(resources),
    )


def _resource(kind: str, name: str, props: Mapping[str, Any]) -> View:
    return View(unknown_checking_proxy(dict(props)), type=kind, name=name)


def _of(name: str, said: Mapping[str, Any], stack: str, volumes: list[str]) -> Iterator[View]:
    image = f"{stack}-{name}:latest" if said.get("build") else said["image"]
    built = {"build": {"context": name}} if said.get("build") else {}
    yield _resource(IMAGE, name, {"name": image, **built})
    yield _resource(SERVICE, name, _service(name, said, image, stack, volumes))
    # What Swarm's services do not have is asked of the container that Compose would make.
    yield _resource(CONTAINER, name, {"name": name, "image": image, "restart": said.get("restart", "no")})


def _service(name: str, said: Mapping[str, Any], image: str, stack: str, volumes: list[str]) -> dict[str, Any]:
    container: dict[str, Any] = {
        "image": image,
        "env": said.get("env", {}),
        "args": said.get("args", []),
        "mounts": [_mount(text, stack, volumes) for text in said.get("mounts", [])],
    }
    if "health" in said:
        container["healthcheck"] = {"tests": ["CMD", "…"], **said["health"]}
    if "stop_grace_period" in said:
        container["stopGracePeriod"] = said["stop_grace_period"]
    resources = {
        key: {"memoryBytes": said[given] * MIB}
        for key, given in (("limits", "limit_mib"), ("reservation", "reserved_mib"))
        if given in said
    }
    mode = {"global": True} if said.get("global") else {"replicated": {"replicas": said.get("replicas", 1)}}
    return {
        "name": name,
        "mode": mode,
        "endpointSpec": {"mode": "vip", "ports": [_port(str(text)) for text in said.get("ports", [])]},
        **({"updateConfig": said["update"]} if "update" in said else {}),
        "taskSpec": {
            "containerSpec": container,
            "networksAdvanceds": [{"name": f"{stack}_default"}],
            "resources": resources,
            "placement": {"constraints": said.get("constraints", [])},
            **({"restartPolicy": {"delay": "5s", **said["restart_policy"]}} if "restart_policy" in said else {}),
        },
    }


def _mount(text: str, stack: str, volumes: list[str]) -> dict[str, Any]:
    source, _, mode = text.partition(" ")
    read_only = {"readOnly": True} if mode == "ro" else {}
    if source in volumes:
        return {"type": "volume", "source": source, "target": f"/{source}", **read_only}
    # Compose takes a folder from where its file is.
    folder = f"/srv/{stack}/{source.removeprefix('./')}" if source.startswith("./") else source
    return {"type": "bind", "source": folder, "target": f"/mounted{folder}", **read_only}


def _port(text: str) -> dict[str, Any]:
    number, _, protocol = text.partition("/")
    outside, colon, inside = number.partition(":")
    port = {"targetPort": int(inside if colon else outside), "protocol": protocol or "tcp", "publishMode": "ingress"}
    return port if outside == "any" else {**port, "publishedPort": int(outside)}
