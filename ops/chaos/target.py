"""The stack that is to be broken: its nodes, its members, and where its edges answer."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator

import docker
import requests

from infra import names, outputs
from infra.spec import DeploymentPlan
from ops.errors import HostError, StateError, UsageError
from ops.host import endpoint
from ops.host.endpoint import Endpoint
from ops.lab import endpoint as lab_endpoint
from ops.lab import record
from ops.lab.reference import Lab, node_name
from ops.stack import door, environment, instances, settings
from ops.stack import target as stack_target
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack

SERVICE_LABEL = "com.docker.swarm.service.name"
# What an engine that is gone, paused or cut off says.
SILENT = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
_API_SECONDS = 10.0
_MEMBER = re.compile(r"(?P<service>[a-z-]+?)(?:-(?P<slot>[1-9]\d*))?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of the swarm: its engine, and the address at which its edge answers."""

    name: str
    slot: int
    address: str
    engine: Endpoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Made by `of`. `lab` is None for a stack that is not on one; `token` is the API's, never shown.

    `trusted` are the edge's certificate and who signed it, empty where it speaks no TLS.
    """

    stack: Stack
    plan: DeploymentPlan
    nodes: tuple[Node, ...]
    lab: Lab | None
    token: str = dataclasses.field(repr=False)
    edge_port: int
    trusted: str
    # To the operators' pages; it knows their password.
    call: door.Call = dataclasses.field(repr=False)

    @property
    def instance(self) -> str:
        """How its names in Docker begin."""
        return self.plan.instance

    def node(self, slot: int) -> Node:
        """The node with that number."""
        return self.nodes[slot - 1]

    def engine_called(self, node: str) -> Endpoint:
        """The engine of the node that the swarm calls so; of a stack that is not on a lab there is one alone."""
        return next(found.engine for found in self.nodes if found.name == node or len(self.nodes) == 1)

    def members(self, service: str) -> dict[str, str]:
        """The members of `redis`, `sentinel`, `postgres`, …: logical name → name in the network."""
        found = (_MEMBER.fullmatch(spec.name) for spec in self.plan.services)
        return {match[0]: names.physical(self.instance, match[0]) for match in found if match and match[1] == service}

    def edges(self) -> dict[int, str]:
        """The address of every node's edge, by slot."""
        scheme = "https" if self.trusted else "http"
        return {node.slot: f"{scheme}://{node.address}:{self.edge_port}" for node in self.nodes}

    def manager(self) -> Endpoint:
        """An engine that can manage the swarm just now. Raises HostError."""
        return stack_target.endpoint_of(self.stack)

    def containers(self, service: str) -> list[tuple[Node, str]]:
        """The running containers of a service (logical name) on every node that answers: by slot, the newest first.

        The nodes are asked, not the swarm: it may have no leader just now.
        """
        name = names.physical(self.instance, service)
        found = []
        for node in self.nodes:
            with contextlib.suppress(*SILENT), self.engine(node) as api:
                filters = {"label": f"{SERVICE_LABEL}={name}", "status": "running"}
                found += [(node, str(one["Id"])) for one in api.containers(filters=filters)]
        return found

    def container(self, service: str) -> tuple[Node, str]:
        """The first of `containers`. Raises HostError where there is none."""
        found = self.containers(service)
        if not found:
            raise HostError(f"{service} does not run; see `./pidea status {self.stack.arguments}`.")
        return found[0]

    @contextlib.contextmanager
    def engine(self, node: Node, timeout_seconds: float = _API_SECONDS) -> Iterator[docker.APIClient]:
        """A client of the node's engine."""
        api = node.engine.client(version="1.41", timeout_seconds=timeout_seconds)
        try:
            yield api
        finally:
            api.close()


def of(stack: Stack) -> Target:
    """What is known of a stack that is up. Raises UsageError, StateError or HostError, one sentence each."""
    instances.require(stack)
    plan = settings.plan_of(stack)
    pulumi = Pulumi(stack, environment.tools())
    found = pulumi.outputs(secrets=True) if pulumi.state() else {}
    if outputs.API_TOKEN not in found:
        raise StateError(f"Stack {stack.name} is not up; bring it up with `./pidea up {stack.arguments}`.")
    lab = stack_target.lab_of(stack)
    return Target(
        stack=stack,
        plan=plan,
        nodes=_nodes(plan, lab),
        lab=lab,
        token=str(found[outputs.API_TOKEN]),
        edge_port=int(found[outputs.EDGE_PORT]),
        trusted=str(found[outputs.EDGE_CERTIFICATE_CHAIN]) if found.get(outputs.EDGE_TLS) else "",
        call=door.caller(stack, found),
    )


def _nodes(plan: DeploymentPlan, lab: Lab | None) -> tuple[Node, ...]:
    if lab is None:
        where = endpoint.resolve()
        if plan.nodes > 1 or where.socket is None:
            raise UsageError("Chaos can reach the nodes of a lab, or a stack of one node on this machine; choose one.")
        return (Node(name="this machine", slot=1, address="127.0.0.1", engine=where),)
    known = record.require(lab)
    return tuple(
        Node(name=node_name(slot), slot=slot, address=known.address(slot), engine=lab_endpoint.of_node(lab, slot))
        for slot in known.slots
    )
