"""Why a service did not come up: Swarm's reason, the last lines that it logged, and what still serves."""

from __future__ import annotations

import dataclasses

import docker

from ops.stack import swarm
from ops.stack.engines import EngineOf
from ops.stack.verify import short

_LOG_LINES = 10
_LINE_LENGTH = 300
_FAILED = frozenset({"failed", "rejected", "orphaned"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """What is known about a service that failed. `log` holds the failed task's last lines."""

    service: str
    reason: str
    log: tuple[str, ...]
    serving: str

    @property
    def text(self) -> str:
        """Several lines for people."""
        lines = [f"{self.service}: {self.reason}"]
        if self.log:
            lines += ["  its last lines:", *(f"    {line}" for line in self.log)]
        return "\n".join([*lines, f"  {self.serving}"])


def explain(engine_of: EngineOf, service: swarm.Service) -> Explanation:
    """Looks at the newest task that failed since the last update began, or before that where none did."""
    tasks = sorted(service.tasks, key=lambda task: task.created_at)
    failed = [task for task in tasks if _has_failed(task)]
    # What is ended as unhealthy may end well, and is no failure for Swarm then.
    of_update = [
        task
        for task in tasks
        if task.created_at >= service.update_started_at and (_has_failed(task) or task.state == "complete")
    ]
    waiting = [task for task in tasks if task.state == "pending" and task.error]
    newest = next(reversed(of_update or failed or waiting), None)
    reason = (newest.error if newest else "") or service.update_message or "its tasks do not become healthy in time"
    return Explanation(
        service=service.name,
        reason=reason,
        log=_last_lines(engine_of(newest), newest) if newest else (),
        serving=_serving(service),
    )


def _has_failed(task: swarm.Task) -> bool:
    return task.state in _FAILED or (task.state == "shutdown" and bool(task.error))


def is_in_trouble(service: swarm.Service) -> bool:
    """True for a service whose tasks do not all run."""
    return len(service.running) != service.wanted


def _serving(service: swarm.Service) -> str:
    if not service.running:
        return "Nothing of it serves."
    images = ", ".join(sorted({short(task.image) for task in service.running}))
    rolled_back = " after rolling back" if service.update == "rollback_completed" else ""
    return f"{len(service.running)} of {service.wanted} tasks serve{rolled_back}, image {images}."


def _last_lines(api: docker.APIClient | None, task: swarm.Task) -> tuple[str, ...]:
    if api is None:
        return ()
    try:
        if not task.container_id:
            return _health_output(api, task)
        log = api.logs(task.container_id, stdout=True, stderr=True, tail=_LOG_LINES)
    except docker.errors.APIError:
        return ()  # already cleaned away, or on another machine
    lines = [line[:_LINE_LENGTH] for line in log.decode(errors="replace").splitlines()]
    return (*lines, *_health_output(api, task))


def _health_output(api: docker.APIClient, task: swarm.Task) -> tuple[str, ...]:
    if not task.container_id:
        return ()
    checks = (api.inspect_container(task.container_id)["State"].get("Health") or {}).get("Log") or []
    said = [" ".join(str(check.get("Output", "")).split()) for check in checks if check.get("ExitCode")]
    return tuple(f"health check: {line[:_LINE_LENGTH]}" for line in said[-1:] if line)
