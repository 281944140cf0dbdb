"""The running services as a Compose file for `docker stack deploy`: the yardstick of the benchmark. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def compose_file(services: Sequence[Mapping[str, Any]], networks: Mapping[str, str], instance: str) -> dict[str, Any]:
    """The same services on the same networks, secrets and configs, with volumes of their own and no published ports.

    `services` are as `docker service inspect` gives them, `networks` maps their ids to names.
    """
    secrets: set[str] = set()
    configs: set[str] = set()
    volumes: set[str] = set()
    made = {}
    for service in services:
        container = service["Spec"]["TaskTemplate"]["ContainerSpec"]
        secrets |= {item["SecretName"] for item in container.get("Secrets") or ()}
        configs |= {item["ConfigName"] for item in container.get("Configs") or ()}
        volumes |= {item["Source"] for item in container.get("Mounts") or () if item["Type"] == "volume"}
        made[service["Spec"]["Name"].removeprefix(f"{instance}-")] = _service(service["Spec"], networks)
    return {
        "version": "3.8",
        "services": made,
        "networks": {name: {"external": True} for name in sorted(networks.values())},
        "secrets": {name: {"external": True} for name in sorted(secrets)},
        "configs": {name: {"external": True} for name in sorted(configs)},
        "volumes": {name: {} for name in sorted(volumes)},
    }


def _service(spec: Mapping[str, Any], networks: Mapping[str, str]) -> dict[str, Any]:
    task = spec["TaskTemplate"]
    container = task["ContainerSpec"]
    made = {
        "image": container["Image"],
        "entrypoint": container.get("Command"),
        "command": container.get("Args"),
        "environment": container.get("Env"),
        "user": container.get("User"),
        "read_only": container.get("ReadOnly", False),
        "init": container.get("Init", False),
        "stop_signal": container.get("StopSignal"),
        "stop_grace_period": _duration(container.get("StopGracePeriod", 0)),
        "cap_drop": container.get("CapabilityDrop"),
        "healthcheck": _healthcheck(container["Healthcheck"]),
        "networks": [networks[item["Target"]] for item in task.get("Networks") or ()],
        "secrets": [_file(item, "Secret") for item in container.get("Secrets") or ()],
        "configs": [_file(item, "Config") for item in container.get("Configs") or ()],
        "volumes": [_mount(item) for item in container.get("Mounts") or ()],
        "logging": {"driver": task["LogDriver"]["Name"], "options": task["LogDriver"]["Options"]},
        "deploy": _deploy(spec),
    }
    return {key: _literal(value) for key, value in made.items() if value not in (None, [], "")}


def _literal(value: Any) -> Any:
    """`value` as Compose reads it without putting variables in."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, list):
        return [_literal(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    return value


def _deploy(spec: Mapping[str, Any]) -> dict[str, Any]:
    resources = spec["TaskTemplate"].get("Resources") or {}
    limits, kept = resources.get("Limits") or {}, resources.get("Reservations") or {}
    update = spec.get("UpdateConfig") or {}
    replicated = spec["Mode"].get("Replicated")
    made: dict[str, Any] = {
        "endpoint_mode": spec["EndpointSpec"]["Mode"],
        "resources": {
            "limits": {"cpus": f"{limits.get('NanoCPUs', 0) / 1e9}", "memory": f"{limits.get('MemoryBytes', 0)}b"},
            "reservations": {"memory": f"{kept.get('MemoryBytes', 0)}b"},
        },
        "update_config": {
            "parallelism": update.get("Parallelism", 1),
            "order": update.get("Order", "stop-first"),
            "failure_action": update.get("FailureAction", "pause"),
            "monitor": _duration(update.get("Monitor", 0)),
        },
    }
    if replicated is None:
        return {**made, "mode": "global"}
    return {**made, "replicas": replicated["Replicas"]}


def _healthcheck(check: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "test": check["Test"],
        "interval": _duration(check["Interval"]),
        "timeout": _duration(check["Timeout"]),
        "start_period": _duration(check["StartPeriod"]),
        "retries": check["Retries"],
    }


def _file(item: Mapping[str, Any], kind: str) -> dict[str, Any]:
    file = item["File"]
    return {
        "source": item[f"{kind}Name"],
        "target": file["Name"],
        "uid": file["UID"],
        "gid": file["GID"],
        "mode": file["Mode"],
    }


def _mount(item: Mapping[str, Any]) -> dict[str, Any]:
    made = {"type": item["Type"], "source": item.get("Source"), "target": item["Target"]}
    if item.get("ReadOnly"):
        made["read_only"] = True
    if item["Type"] == "tmpfs":
        made["tmpfs"] = {"size": item["TmpfsOptions"]["SizeBytes"]}
    return {key: value for key, value in made.items() if value is not None}


def _duration(nanoseconds: int) -> str:
    return f"{nanoseconds}ns"
