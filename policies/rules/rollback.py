"""A failed update rolls back by itself only if Swarm can notice the failure in time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

SERVICE = "docker:index/service:Service"
_PARTS_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(duration: str) -> float:
    """Docker's notation of a duration, such as `1m5s`, in seconds. Raises ValueError for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is not a duration such as 30s or 1m5s")
    return sum(float(number) * _PARTS_SECONDS[unit] for number, unit in parts)


def problems(service: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each thing that keeps the update of a docker.Service from rolling back, and how to mend it."""
    update = service.get("updateConfig") or {}
    check = service["taskSpec"]["containerSpec"].get("healthcheck")
    if check is None:
        yield "has no health check, so that a broken version counts as running; set healthcheck"
    if update.get("failureAction") != "rollback":
        yield "does not roll a failed update back; set updateConfig.failureAction to rollback"
    if service.get("convergeConfig") is None:
        yield "is not waited for, so that `pulumi up` succeeds before the service does; set convergeConfig"
    if check is not None:
        detection = seconds(check.get("startPeriod", "0s")) + seconds(check.get("interval", "30s")) * check.get(
            "retries", 3
        )
        monitor = seconds(update.get("monitor", "5s"))
        if monitor < detection:
            yield (
                f"is watched for {monitor:g} s after an update, but can take {detection:g} s to show that it is "
                f"broken; set updateConfig.monitor to at least start period + interval × retries"
            )
