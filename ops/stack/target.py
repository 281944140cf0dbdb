"""Where a stack runs: the engine that manages its swarm, the engines of its nodes, and the address its edge has."""

from __future__ import annotations

from ops.host import endpoint, engine, nodes
from ops.host.endpoint import Endpoint
from ops.lab import endpoint as labs
from ops.lab import record, reference
from ops.lab.reference import Lab
from ops.stack.reference import Stack


def lab_of(stack: Stack) -> Lab | None:
    """The lab on which the stack is, None for one on the engine that the docker command line would use."""
    return reference.resolve(stack.lab, local=stack.local) if stack.lab is not None else None


def endpoint_of(stack: Stack) -> Endpoint:
    """The engine that manages the stack's swarm just now. Ask again for each step: a lab's may be another by then.

    Raises UsageError where the stack's lab is not there, HostError where none of its managers answers.
    """
    lab = lab_of(stack)
    return endpoint.resolve() if lab is None else labs.of(lab)


def builder_of(stack: Stack) -> Endpoint | None:
    """The engine of this machine that builds the stack's images; None where that is the manager itself."""
    lab = lab_of(stack)
    return None if lab is None else Endpoint(record.require(lab).engine, f"lab {lab.name}")


def pulumi_engine_of(stack: Stack) -> Endpoint:
    """What DOCKER_HOST shall say to Pulumi.

    Builds go where it says, whatever a resource's provider says; so for a lab it is the builder, and the manager is the
    `docker:host` of the stack's configuration, which this call makes lead to a node that answers.
    """
    manager = endpoint_of(stack)
    return builder_of(stack) or manager


def engine_of(stack: Stack, node: str) -> Endpoint:
    """The engine of one node, by the node's name in the swarm. Raises UsageError for one that cannot be reached."""
    lab = lab_of(stack)
    if lab is not None:
        return labs.of_node(lab, reference.slot_of(node, record.require(lab).nodes))
    return nodes.engine_of(engine.require(), node)


def host_of(stack: Stack) -> str:
    """The host part of the stack's addresses, as this machine reaches them."""
    lab = lab_of(stack)
    return "localhost" if lab is None else record.require(lab).address(labs.manager(lab))
