"""The canary: while the application's first new replica serves beside the old ones, whether it does as well as they.

Swarm replaces one replica, waits for `canarySeconds`, and goes on; a replica that is not healthy it takes back by
itself. What a health check does not see (errors, slowness) is judged here from what Prometheus measured of each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import docker
import requests

from infra import names
from ops.errors import OpsError
from ops.host.endpoint import Endpoint
from ops.stack import swarm

# A canary that answered fewer requests than this says nothing yet.
LEAST_REQUESTS: Final = 20.0
# Errors: more than one request in fifty, and three times as many as the others have.
ERROR_RATIO: Final = 0.02
# Latency: the 95th percentile three times that of the others, and slow enough that somebody notices.
SLOW_SECONDS: Final = 0.25
TIMES_WORSE: Final = 3.0
_LOOK_EVERY_SECONDS: Final = 3.0
# Of an update, as Swarm says it.
_UNDER_WAY: Final = frozenset({"updating", "rollback_started"})
_ROUTES: Final = 'job="app", route!~"/api/health.*|/(api/)?status.*|/metrics"'

# PromQL → one (labels, value) for each series.
Ask = Callable[[str], Sequence[tuple[Mapping[str, str], float]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What some replicas did together in the window: requests, the part that failed, seconds at the 95th percentile."""

    requests: float
    error_ratio: float
    p95_seconds: float


def objection(canary: Measured, others: Measured) -> str | None:
    """Why the canary must not go on, None where nothing speaks against it."""
    if canary.requests < LEAST_REQUESTS:
        return None
    if canary.error_ratio > max(ERROR_RATIO, TIMES_WORSE * others.error_ratio):
        return (
            f"the new version fails {canary.error_ratio:.1%} of its {canary.requests:.0f} requests, "
            f"the old one {others.error_ratio:.1%}"
        )
    if canary.p95_seconds > max(SLOW_SECONDS, TIMES_WORSE * others.p95_seconds):
        return (
            f"the new version needs {canary.p95_seconds * 1000:.0f} ms at the 95th percentile, "
            f"the old one {others.p95_seconds * 1000:.0f} ms"
        )
    return None


def measure(ask: Ask, addresses: Collection[str], window_seconds: int) -> Measured:
    """What the replicas at `addresses` did in the last `window_seconds`. Raises what `ask` raises."""
    if not addresses:
        return Measured(requests=0.0, error_ratio=0.0, p95_seconds=0.0)
    hosts = "|".join(address.replace(".", r"\\.") for address in sorted(addresses))
    series = f'{_ROUTES}, instance=~"({hosts}):.*"'
    window = f"[{window_seconds}s]"
    total = _one(ask(f"sum(increase(pidea_http_requests_total{{{series}}}{window}))"))
    failed = _one(ask(f'sum(increase(pidea_http_requests_total{{{series}, status=~"5.."}}{window}))'))
    p95 = _one(
        ask(
            "histogram_quantile(0.95, sum by (le) "
            f"(rate(pidea_http_request_duration_seconds_bucket{{{series}}}{window})))"
        )
    )
    return Measured(requests=total, error_ratio=failed / total if total else 0.0, p95_seconds=p95)


def _one(series: Sequence[tuple[Mapping[str, str], float]]) -> float:
    value = series[0][1] if series else 0.0
    return 0.0 if math.isnan(value) else value  # no requests at all


class Watch:
    """Watches one deployment from a thread of its own; `objection` says afterwards why it was taken back, if it was.

    Nothing that this cannot find out ends a deployment: then the health checks alone decide.
    """

    def __init__(self, where: Callable[[], Endpoint], service: str, ask: Ask, window_seconds: int) -> None:
        self.objection: str | None = None
        self._where, self._service, self._ask, self._window = where, service, ask, window_seconds
        self._old: frozenset[str] = frozenset()
        self._before: Mapping[str, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="canary", daemon=True)

    def __enter__(self) -> Watch:
        self._old = frozenset(task["ID"] for task in self._tasks())
        self._before = self._update()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def see_through(self, seconds: float) -> str | None:
        """Waits for at most `seconds` until Swarm's update is over; why it was taken back, None where it went through.

        Pulumi's provider calls an update done as soon as it sees all replicas run, and between two of them they do: new
        ones and old ones.
        """
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OpsError, docker.errors.DockerException, requests.exceptions.RequestException):
                now = self._update()
                if now.get("StartedAt") == self._before.get("StartedAt"):
                    return None  # this deployment had nothing new for the application
                if now and now["State"] not in _UNDER_WAY:
                    return None if now["State"] == "completed" else now.get("Message") or now["State"]
            if time.monotonic() > deadline:
                return f"its update is not through after {seconds:.0f} s"
            time.sleep(1.0)

    def _update(self) -> Mapping[str, str]:
        """What Swarm says of the service's last update; nothing where there was none, or where it has just begun."""
        with swarm.client(10.0, where=self._where()) as api:
            found = api.inspect_service(self._service)  # type: ignore[no-untyped-call]
        return found.get("UpdateStatus") or {}

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY_SECONDS):
            try:
                tasks = self._tasks()
                new = _addresses(task for task in tasks if task["ID"] not in self._old)
                old = _addresses(task for task in tasks if task["ID"] in self._old)
                if not new or not old:
                    continue
                found = objection(measure(self._ask, new, self._window), measure(self._ask, old, self._window))
            except (OpsError, docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError):
                continue
            if found:
                self.objection = found
                self._take_back()
                return

    def _tasks(self) -> list[dict[str, Any]]:
        with swarm.client(10.0, where=self._where()) as api:
            found = api.tasks(filters={"service": self._service, "desired-state": "running"})  # type: ignore[no-untyped-call]
        return [task for task in found if task["Status"]["State"] == "running"]

    def _take_back(self) -> None:
        """Swarm's own rollback: Pulumi, which waits for the update, sees it and fails."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            done = subprocess.run(
                ["docker", "service", "rollback", "--detach", self._service],
                env={**os.environ, **self._where().environment},
                capture_output=True,
                timeout=30,
                check=False,
            )
            if done.returncode == 0:
                return
            time.sleep(1.0)


def _addresses(tasks: Any) -> frozenset[str]:
    return frozenset(
        address.partition("/")[0]
        for task in tasks
        for attachment in task.get("NetworksAttachments") or []
        for address in attachment.get("Addresses") or []
    )


def application(instance: str) -> str:
    """The service that is watched, by its name in Docker."""
    return names.physical(instance, names.APP)
