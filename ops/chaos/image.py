"""The image of the clients inside: built from the application's on the engine that has it, pushed where nodes pull."""

from __future__ import annotations

from typing import Any

import docker

from infra import names
from ops.chaos.target import Target
from ops.errors import DeployError
from ops.host import endpoint
from ops.lab import images as lab_images
from ops.lab import machine, record
from ops.stack import swarm

NAME = "chaos-client"
# Where images are built nobody may be silent for longer.
_BUILD_SECONDS = 600.0
# Engines of this age ask for credentials even where the registry does not.
_NOBODY = {"username": "nobody", "password": "none"}


def ensure(target: Target, application: str) -> str:
    """What a service asks for to get the clients. `application` is the image reference that the stack's app runs.

    Raises DeployError.
    """
    where = endpoint.resolve() if target.lab is None else machine.of(record.require(target.lab))
    with swarm.client(_BUILD_SECONDS, where=where) as api:
        try:
            base = str(api.inspect_image(application)["Id"])  # type: ignore[no-untyped-call]
        except docker.errors.ImageNotFound as error:
            raise DeployError(
                f"This machine's engine does not have the application's image {application} any more; "
                f"`./pidea up {target.stack.arguments}` builds it again."
            ) from error
        tag = lab_images.ensure(api, NAME, base)
        if target.plan.registry is None:
            return str(api.inspect_image(tag)["Id"])  # type: ignore[no-untyped-call]
        repository, version = f"{target.plan.registry}/pidea/{NAME}", tag.rpartition(":")[2]
        api.tag(tag, repository, version)
        return f"{repository}@{_push(api, repository, version)}"


def application(target: Target) -> str:
    """The image reference that the stack's application runs."""
    with swarm.client(where=target.manager()) as api:
        found = api.inspect_service(names.physical(target.instance, names.APP))  # type: ignore[no-untyped-call]
    return str(found["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"])


def _push(api: docker.APIClient, repository: str, version: str) -> str:
    messages: Any = api.push(repository, version, stream=True, decode=True, auth_config=_NOBODY)
    digest = ""
    for message in messages:
        if "error" in message:
            raise DeployError(f"{repository} cannot be pushed: {message['error']}")
        digest = (message.get("aux") or {}).get("Digest", digest)
    if not digest:
        raise DeployError(f"The registry did not say under which digest it has {repository}:{version}.")
    return digest
