"""What of an instance is in Docker, and how to be rid of it when Pulumi cannot help any more."""

from __future__ import annotations

import contextlib
from typing import Any

import docker

from ops.stack import swarm
from tests.stack.waiting import wait_for_none


def remains(instance: str) -> list[str]:
    """Everything in Docker that belongs to the instance, one line each: by label and by beginning of the name."""
    with swarm.client() as api:
        found = {
            "service": [_name(item) for item in api.services()],  # type: ignore[no-untyped-call]
            "container": [item["Names"][0].lstrip("/") for item in api.containers(all=True)],
            "network": [item["Name"] for item in api.networks()],
            "volume": [item["Name"] for item in api.volumes().get("Volumes") or []],
            "secret": [_name(item) for item in api.secrets()],
            "config": [_name(item) for item in api.configs()],  # type: ignore[no-untyped-call]
        }
        labelled = {"label": f"{swarm.INSTANCE_LABEL}={instance}"}
        by_label = {
            "container": [item["Names"][0].lstrip("/") for item in api.containers(all=True, filters=labelled)],
            "volume": [item["Name"] for item in api.volumes(filters=labelled).get("Volumes") or []],
            "network": [item["Name"] for item in api.networks(filters=labelled)],
        }
    prefixed = {f"{kind} {name}" for kind, names in found.items() for name in names if name.startswith(f"{instance}-")}
    return sorted(prefixed | {f"{kind} {name}" for kind, names in by_label.items() for name in names})


def purge(instance: str) -> None:
    """Removes all of it, data too. For what a run that crashed left behind, whatever became of its state."""
    with swarm.client() as api:
        for kind, name in _split(remains(instance)):
            if kind == "service":
                api.remove_service(name)  # type: ignore[no-untyped-call]
    # Swarm ends the containers itself; what they use can go only after them.
    wait_for_none(lambda: _of_kind(instance, "container"), "a container of a removed service", timeout_seconds=120)
    wait_for_none(lambda: _remove_rest(instance), f"something of {instance}", timeout_seconds=60)


def _remove_rest(instance: str) -> list[str]:
    with swarm.client() as api:
        for kind, name in _split(remains(instance)):
            # Still in use for a moment: the next round gets it.
            with contextlib.suppress(docker.errors.APIError):
                getattr(api, f"remove_{kind}")(name)
    return remains(instance)


def _of_kind(instance: str, kind: str) -> list[str]:
    return [line for line in remains(instance) if line.startswith(f"{kind} ")]


def _split(lines: list[str]) -> list[tuple[str, str]]:
    return [(kind, name) for kind, _, name in (line.partition(" ") for line in lines)]


def _name(item: dict[str, Any]) -> str:
    return str(item["Spec"]["Name"])
