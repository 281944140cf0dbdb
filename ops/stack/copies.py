"""Throw-away servers with what a backup holds, beside a stack: their names, what runs of them, and their removal."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import docker

from infra.names import physical
from ops.errors import UsageError
from ops.stack import engines, swarm, target
from ops.stack.reference import Stack

# On the container and the volume of each, beside the label of its stack.
LABEL = "dev.pidea.restored"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NAME_MAX_LENGTH = 24


def logical(name: str) -> str:
    """What a copy's container and volume are called within the stack. Raises UsageError for what cannot be a name."""
    if not _NAME.fullmatch(name) or len(name) > _NAME_MAX_LENGTH:
        raise UsageError(
            f"{name!r} cannot name a copy; use at most {_NAME_MAX_LENGTH} lower-case letters, digits and single "
            "dashes, starting with a letter."
        )
    return f"restored-{name}"


def refuse_taken(stack: Stack, instance: str, name: str) -> None:
    """Raises UsageError where there is a copy, or anything else in Docker, of that name."""
    wanted = physical(instance, logical(name))
    with _every(stack) as found:
        for api in found:
            containers = api.containers(all=True, filters={"name": f"^/{wanted}$"})
            volumes = [item["Name"] for item in api.volumes(filters={"name": wanted}).get("Volumes") or []]
            if containers or wanted in volumes:
                raise UsageError(
                    f"{name} is taken; choose another name, or remove it: "
                    f"`./pidea restore {stack.arguments} --into {name} --remove`."
                )


def remove(stack: Stack, instance: str, name: str) -> None:
    """Removes a copy with its data. Raises UsageError where there is none of that name."""
    logical(name)
    if not _remove(stack, instance, f"{LABEL}={name}"):
        raise UsageError(f"There is no copy {name!r} beside {stack.name}; nothing was touched.")


def remove_all(stack: Stack, instance: str) -> int:
    """Removes every copy of the stack; gives how many there were."""
    return _remove(stack, instance, LABEL)


def _remove(stack: Stack, instance: str, label: str) -> int:
    filters = {"label": [f"{swarm.INSTANCE_LABEL}={instance}", label]}
    removed = set()
    with _every(stack) as found:
        for api in found:
            for container in api.containers(all=True, filters=filters):
                with contextlib.suppress(docker.errors.NotFound):
                    api.remove_container(container["Id"], force=True)
                removed.add(container["Labels"][LABEL])
            # One that an interrupted run has left has no container.
            for volume in api.volumes(filters=filters).get("Volumes") or []:
                with contextlib.suppress(docker.errors.NotFound):
                    api.remove_volume(volume["Name"])
                removed.add(volume["Labels"][LABEL])
    return len(removed)


@contextlib.contextmanager
def _every(stack: Stack) -> Iterator[list[docker.APIClient]]:
    with swarm.client(where=target.endpoint_of(stack)) as api, engines.reachable(stack, api) as found:
        yield list(found.values())
