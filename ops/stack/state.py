"""A stack's state as Pulumi exports it: which resources it knows, and which operations an earlier run left open."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ops.stack import events

CREATING = "creating"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of the state. `docker_name` is its name in Docker, empty where it has none; secrets are sealed."""

    urn: str
    type: str
    id: str
    docker_name: str
    protected: bool
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PendingOperation:
    """An operation that began and whose end nobody saw."""

    resource: Resource
    operation: str

    @property
    def text(self) -> str:
        """For people: `creating service redis`."""
        return f"{self.operation} {events.subject_of(self.resource.urn)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """What Pulumi knows of a stack. `salt` belongs to its passphrase, None where another secrets provider is used.

    Not `is_ordered`: a run of some resources was killed before it put the others in order; Pulumi refuses such a state.
    """

    resources: tuple[Resource, ...]
    pending: tuple[PendingOperation, ...]
    salt: str | None
    is_ordered: bool = True

    @property
    def docker_names(self) -> frozenset[str]:
        """Names in Docker that this stack owns or was about to make."""
        known = [*self.resources, *(operation.resource for operation in self.pending)]
        return frozenset(resource.docker_name for resource in known if resource.docker_name)


def from_export(exported: Mapping[str, Any]) -> State:
    """The state in the answer of `pulumi stack export`."""
    deployment = exported.get("deployment") or {}
    provider = deployment.get("secrets_providers") or {}
    salt = (provider.get("state") or {}).get("salt") if provider.get("type") == "passphrase" else None
    return State(
        resources=tuple(_resource(item) for item in deployment.get("resources") or ()),
        pending=tuple(
            PendingOperation(resource=_resource(item["resource"]), operation=item["type"])
            for item in deployment.get("pending_operations") or ()
        ),
        salt=salt,
        is_ordered=_is_ordered(deployment.get("resources") or ()),
    )


def _is_ordered(resources: Iterable[Mapping[str, Any]]) -> bool:
    before: set[str] = set()
    for item in resources:
        named = {*(item.get("dependencies") or ()), item.get("parent") or ""} - {""}
        if not named <= before:
            return False
        before.add(item["urn"])
    return True


def _resource(item: Mapping[str, Any]) -> Resource:
    name = (item.get("outputs") or {}).get("name") or (item.get("inputs") or {}).get("name")
    is_docker = str(item["type"]).startswith("docker:")
    return Resource(
        urn=item["urn"],
        type=item["type"],
        id=item.get("id", ""),
        docker_name=name if is_docker and isinstance(name, str) else "",
        protected=bool(item.get("protect")),
        inputs=item.get("inputs") or {},
    )
