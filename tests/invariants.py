"""What must hold of a stack that is well, whatever a test has just done to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

from infra import names
from infra import outputs as keys
from ops.cluster import postgres, redis
from ops.cluster.members import Members
from ops.host.endpoint import Endpoint
from ops.stack import verify
from ops.stack.rolling import cluster_of
from tests.stack.endpoints import Endpoints
from tests.stack.prod import Prod
from tests.stack.waiting import wait_for_none

Outputs = Mapping[str, Any]


def healthy(outputs: Outputs) -> list[str]:
    """Violations, one line each; empty for a stack that is well. `outputs` with the operator's password.

    Waits up to a minute for tasks that are still starting, not for anything else.
    """
    return [line for check in (services, targets, application) for line in check(outputs)]


def wait_until_healthy(outputs: Outputs, *, timeout_seconds: float = 120.0) -> None:
    """Returns when nothing is violated. Raises AssertionError with what still is when the time is up."""
    deadline = time.monotonic() + timeout_seconds
    while found := healthy(outputs):
        if time.monotonic() > deadline:
            raise AssertionError(f"not well after {timeout_seconds:.0f} s:\n" + "\n".join(found))
        time.sleep(1.0)


def whole(prod: Prod) -> list[str]:
    """Violations of a stack of several nodes, one line each: of its services, of each cluster, and at each edge."""
    outputs, plan = prod.outputs(), prod.plan
    run = Members(prod.prefix, prod.manager, prod.engines.__getitem__).run
    found = services(outputs, prod.manager)
    if found:
        return found  # what does not run cannot be asked
    layout = redis.layout(plan)
    servers = [s.name for s in plan.services if cluster_of(s.name) == names.POSTGRES and s.name != names.POSTGRES]
    found += redis.problems(layout, run) if layout else []
    found += postgres.problems(postgres.look_at_all(run, servers)) if servers else []
    for address in map(prod.address, range(1, plan.nodes + 1)):
        found += [f"at the edge of {address}: {line}" for line in application(outputs, address)]
    return found


def wait_until_whole(prod: Prod, *, timeout_seconds: float = 180.0) -> None:
    """Returns when nothing is violated. Raises AssertionError with what still is when the time is up."""
    wait_for_none(lambda: whole(prod), "something amiss", timeout_seconds=timeout_seconds)


def services(outputs: Outputs, manager: Endpoint | None = None) -> list[str]:
    """Every service has its tasks, and each runs the image that was asked for."""
    return verify.problems(outputs[keys.SERVICES], str(outputs[keys.INSTANCE]), manager)


def targets(outputs: Outputs) -> list[str]:
    """Prometheus reaches everything that it is to watch, and sees as many replicas of the application as there are."""

    def look() -> list[str]:
        active = Endpoints(outputs).prometheus("targets", state="active")["activeTargets"]
        down = [f"target {t['labels']['job']} at {t['scrapeUrl']}: {t['lastError']}" for t in active if not _is_up(t)]
        seen = sum(target["labels"]["job"] == names.APP for target in active)
        wanted = int(outputs[keys.SERVICES][names.APP]["replicas"])
        return down if seen == wanted else [*down, f"Prometheus watches {seen} replicas of the app, there are {wanted}"]

    return _or_unreachable("Prometheus", look)


def application(outputs: Outputs, host: str = "127.0.0.1") -> list[str]:
    """At the edge of `host` a message can be written and read, and the application finds up what it depends on."""

    def look() -> list[str]:
        endpoints = Endpoints(outputs, host)
        url = endpoints.messages()
        endpoints.write(url, "are you well?")
        found = [] if endpoints.contents(url) == ["are you well?"] else ["a message that was written is not read back"]
        report = endpoints.get(f"{endpoints.app}/api/health").json()
        return found + [
            f"the app reports {name} as {service['status']}"
            for name, service in report["services"].items()
            if service["status"] != "up"
        ]

    return _or_unreachable("the app", look)


def _is_up(target: Mapping[str, Any]) -> bool:
    return bool(target["health"] == "up")


def _or_unreachable(what: str, look: Callable[[], list[str]]) -> list[str]:
    try:
        return look()
    except requests.RequestException as error:
        return [f"{what} does not answer: {error}"]
