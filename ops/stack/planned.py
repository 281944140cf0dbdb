"""`preview`: what `up` would change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ops.errors import DeployError
from ops.stack import deploy, environment, instances, lock, progress, settings, target
from ops.stack.events import EventLog
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """The changes that `up` would make: counts by operation, a line for each, and Pulumi's own text."""

    changes: Mapping[str, int]
    lines: tuple[str, ...]
    text: str

    @property
    def summary(self) -> str:
        """One line."""
        if not self.changes:
            return "no changes"
        return "would " + ", ".join(f"{operation} {count}" for operation, count in self.changes.items())

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {"changes": dict(self.changes), "resources": list(self.lines)}


def preview(stack: Stack, *, refresh: bool, diff: bool) -> Planned:
    """Asks Pulumi. Makes the (empty) stack where there is none. Raises UsageError, StateError, DeployError."""
    target.builder_of(stack)  # where the lab is not there, nothing is made, not even the lock's folder
    with lock.exclusive(stack):
        instances.ensure(stack)
        settings.plan_of(stack)
        pulumi = Pulumi(stack, environment.tools())
        state = deploy.open_state(pulumi)
        log = EventLog()
        options = [*(["--refresh"] if refresh else []), *(["--diff"] if diff else [])]
        with progress.watching(log) as on_poll:
            result = pulumi.preview(options, log, state, on_poll)
    if result.code or log.failures:
        reasons = [f"{failure.subject}: {failure.message}" for failure in log.failures] or [result.errors.strip()]
        raise DeployError("\n".join(["The preview failed; nothing was touched.", *reasons]))
    lines = tuple(f"{change.operation} {change.subject}" for change in log.changes)
    return Planned(changes=log.changed, lines=lines, text=result.output)
