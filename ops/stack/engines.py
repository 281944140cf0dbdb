"""The engines of a swarm's nodes: a container is known to the engine of its node alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import docker
import requests

from ops.host.endpoint import Endpoint
from ops.stack import swarm, target
from ops.stack.reference import Stack

# For each question. A node that is just being lost must not hold up a look at the others.
_ANSWER_SECONDS = 10.0

EngineOf = Callable[[swarm.Task], docker.APIClient | None]


@contextlib.contextmanager
def of(stack: Stack | None, api: docker.APIClient) -> Iterator[EngineOf]:
    """Gives the engine of a task's node; None where it cannot be reached from here. `api` is the manager."""
    if stack is None or stack.lab is None:
        yield lambda _task: api  # the only node, or the only one whose engine we can reach
        return
    with contextlib.ExitStack() as opened:
        clients = {}
        for node in api.nodes():
            if node["Status"].get("State") != "ready":
                continue
            if client := _connected(target.engine_of(stack, node["Description"]["Hostname"])):
                clients[node["ID"]] = opened.enter_context(contextlib.closing(client))
        yield lambda task: clients.get(task.node_id)


def _connected(where: Endpoint) -> docker.APIClient | None:
    try:
        return where.client(timeout_seconds=_ANSWER_SECONDS)
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError):
        return None
