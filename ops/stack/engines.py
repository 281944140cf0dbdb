"""The engines of a swarm's nodes: a container is known to the engine of its node alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import docker
import requests

from ops.errors import UsageError
from ops.stack import swarm, target
from ops.stack.reference import Stack

# For each question. A node that is just being lost must not hold up a look at the others.
_ANSWER_SECONDS = 10.0

EngineOf = Callable[[swarm.Task], docker.APIClient | None]


@contextlib.contextmanager
def of(stack: Stack | None, api: docker.APIClient) -> Iterator[EngineOf]:
    """Gives the engine of a task's node; None where it cannot be reached from here. `api` is the manager."""
    if stack is None:
        yield lambda _task: api
        return
    with reachable(stack, api) as clients:
        only = api if set(clients.values()) == {api} else None
        yield lambda task: only or clients.get(task.node_id)


@contextlib.contextmanager
def reachable(stack: Stack, api: docker.APIClient) -> Iterator[Mapping[str, docker.APIClient]]:
    """The engines of all nodes that can be reached from here, by the node's id."""
    listed = api.nodes()
    if len(listed) == 1:
        yield {listed[0]["ID"]: api}
        return
    with contextlib.ExitStack() as opened:
        clients = {}
        for node in listed:
            if node["Status"].get("State") != "ready":
                continue
            if client := _connected(stack, node["Description"]["Hostname"]):
                clients[node["ID"]] = opened.enter_context(contextlib.closing(client))
        yield clients


def _connected(stack: Stack, node: str) -> docker.APIClient | None:
    try:
        return target.engine_of(stack, node).client(timeout_seconds=_ANSWER_SECONDS)
    except (UsageError, docker.errors.DockerException, requests.exceptions.RequestException, OSError):
        return None
