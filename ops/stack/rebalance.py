"""Spreads the application's tasks over the nodes again: Swarm leaves them where they are when a node comes back.

A forced update would replace every task, and may leave them as uneven as before: it starts each new one beside the old.
So just as many tasks are started as have to move, which Swarm puts where there are fewest; and then as many are ended,
which it takes from where there are most. No moment has fewer tasks than the stack wants.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from infra import names
from ops.errors import DeployError
from ops.host.endpoint import Endpoint
from ops.stack import settings, swarm, target
from ops.stack.reference import Stack

_START_SECONDS = 180.0
_END_SECONDS = 90.0
_POLL_SECONDS = 0.5

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """How many of the application's tasks run on each node that takes tasks, and how many there shall be in all."""

    tasks: Mapping[str, int]
    wanted: int

    @property
    def moves(self) -> int:
        """How many tasks have to move until no node has more than one more than another."""
        counts = sorted(self.tasks.values(), reverse=True)
        if not counts or counts[0] - counts[-1] <= 1:
            return 0
        share, rest = divmod(sum(counts), len(counts))
        return sum(max(0, count - share - (place < rest)) for place, count in enumerate(counts))

    @property
    def text(self) -> str:
        """`node-1: 2, node-2: 0`."""
        return ", ".join(f"{node}: {count}" for node, count in sorted(self.tasks.items()))


def look(stack: Stack) -> Spread:
    """Where the application's tasks run. Raises DeployError where not all of them do, or an update is under way."""
    return look_at(target.endpoint_of(stack), _service(stack))


def look_at(where: Endpoint, name: str) -> Spread:
    """The same of any service, by its name in Docker."""
    with swarm.client(where=where) as api:
        found = api.services(filters={"name": name})  # type: ignore[no-untyped-call]
        service = next((item for item in found if item["Spec"]["Name"] == name), None)
        nodes = api.nodes()
        tasks = api.tasks(filters={"service": name}) if service else []  # type: ignore[no-untyped-call]
    if service is None:
        raise DeployError(f"There is no service {name}; bring the stack up first.")
    if (service.get("UpdateStatus") or {}).get("State") in {"updating", "rollback_started"}:
        raise DeployError(f"{name} is being updated; wait until that is over, then run the same command again.")
    wanted = int(service["Spec"]["Mode"]["Replicated"]["Replicas"])
    running = _running(tasks)
    if len(running) != wanted:
        raise DeployError(
            f"{len(running)} of {wanted} tasks of {name} run; see `docker service ps {name}`, and run the same command "
            "again when all do."
        )
    return spread_of(nodes, tasks, wanted)


def spread_of(nodes: list[dict[str, Any]], tasks: list[dict[str, Any]], wanted: int) -> Spread:
    """From nodes and tasks as the engine lists them."""
    able = {
        node["ID"]: str(node["Description"]["Hostname"])
        for node in nodes
        if node["Status"]["State"] == "ready" and node["Spec"]["Availability"] == "active"
    }
    running = Counter(task["NodeID"] for task in _running(tasks))
    # Two machines may have the same name.
    counts: Counter[str] = Counter()
    for node, hostname in able.items():
        counts[hostname if list(able.values()).count(hostname) == 1 else f"{hostname}-{node[:6]}"] += running[node]
    return Spread(tasks=dict(counts), wanted=wanted)


def rebalance(stack: Stack, before: Spread, say: Say) -> Spread:
    """Moves what has to move, and returns how it is then. Raises DeployError; all that were there run even so."""
    # A lab's or a swarm's manager may be another by the next step.
    return spread(lambda: target.endpoint_of(stack), _service(stack), before, say)


def spread(where: Callable[[], Endpoint], service: str, before: Spread, say: Say) -> Spread:
    """The same of any service, by its name in Docker."""
    more = before.wanted + before.moves
    try:
        say(f"starting {before.moves} more where there are fewest")
        _scale(where(), service, more)
        _wait(where, service, more, _START_SECONDS)
    finally:
        say(f"ending {before.moves} where there are most")
        _scale(where(), service, before.wanted)
    _wait(where, service, before.wanted, _END_SECONDS)
    after = look_at(where(), service)
    if after.moves:
        raise DeployError(f"The tasks are still spread unevenly ({after.text}); see `docker service ps {service}`.")
    return after


def _service(stack: Stack) -> str:
    return names.physical(settings.plan_of(stack).instance, names.APP)


def _running(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [task for task in tasks if task["DesiredState"] == task["Status"]["State"] == "running"]


def _scale(where: Endpoint, service: str, replicas: int) -> None:
    done = subprocess.run(
        ["docker", "service", "scale", "--detach", f"{service}={replicas}"],
        env={**os.environ, **where.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no reason given"]
        raise DeployError(f"Docker refused to scale {service} to {replicas}: {said[0]}. Run the same command again.")


def _wait(where: Callable[[], Endpoint], service: str, wanted: int, seconds: float) -> None:
    """Until `wanted` tasks run, healthy, and none that shall end still does."""
    deadline = time.monotonic() + seconds
    while True:
        with swarm.client(where=where()) as api:
            tasks = api.tasks(filters={"service": service})  # type: ignore[no-untyped-call]
        still = [task for task in tasks if task["Status"]["State"] == "running"]
        if len(still) == len(_running(tasks)) == wanted:
            return
        if time.monotonic() > deadline:
            raise DeployError(
                f"After {seconds:.0f} s {len(still)} tasks of {service} run, not {wanted}; "
                f"see `docker service ps {service}` for why."
            )
        time.sleep(_POLL_SECONDS)
