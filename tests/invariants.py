"""What must hold of a stack that is well, whatever a test has just done to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

from infra import names
from infra import outputs as keys
from ops.stack import verify
from tests.stack.endpoints import Endpoints

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


def services(outputs: Outputs) -> list[str]:
    """Every service has its tasks, and each runs the image that was asked for."""
    return verify.problems(outputs[keys.SERVICES], str(outputs[keys.INSTANCE]))


def targets(outputs: Outputs) -> list[str]:
    """Prometheus reaches everything that it is to watch, and sees as many replicas of the application as there are."""

    def look() -> list[str]:
        active = Endpoints(outputs).prometheus("targets", state="active")["activeTargets"]
        down = [f"target {t['labels']['job']} at {t['scrapeUrl']}: {t['lastError']}" for t in active if not _is_up(t)]
        seen = sum(target["labels"]["job"] == names.APP for target in active)
        wanted = int(outputs[keys.SERVICES][names.APP]["replicas"])
        return down if seen == wanted else [*down, f"Prometheus watches {seen} replicas of the app, there are {wanted}"]

    return _or_unreachable("Prometheus", look)


def application(outputs: Outputs) -> list[str]:
    """A message can be written and read, and the application finds everything up that it depends on."""

    def look() -> list[str]:
        endpoints = Endpoints(outputs)
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
