"""A preview, judged: what would change, which rules object, what was waived, and what nobody can say yet."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.errors import DeployError, UsageError
from ops.policy import waivers
from ops.stack import deploy, environment, instances, lock, settings
from ops.stack.events import EventLog
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack
from ops.stack.state import State, from_export
from policies import environments
from policies.catalogue import RULES
from policies.exceptions import Waiver
from policies.model import Finding, Level, Rule, Status


@dataclasses.dataclass(frozen=True, kw_only=True)
class Review:
    """`source` says what the preview compared with. Changes are counted by operation, and listed."""

    stack: str
    environment: str
    source: str
    counts: Mapping[str, int]
    changes: Sequence[str]
    findings: Sequence[Finding]
    waivers: Sequence[Waiver]

    def of(self, status: Status) -> list[Finding]:
        """The findings of a kind, the hardest first."""
        found = [finding for finding in self.findings if finding.status is status]
        return sorted(found, key=lambda item: (self.level(item) is not Level.MANDATORY, item.rule, item.resource))

    def level(self, finding: Finding) -> Level:
        """What a broken rule does in this environment."""
        return environments.level(RULES[finding.rule], self.environment)

    @property
    def refused(self) -> bool:
        """Whether `up` would refuse the change."""
        return any(self.level(finding) is Level.MANDATORY for finding in self.of(Status.VIOLATION))

    def waiver(self, finding: Finding) -> Waiver | None:
        """The exception that covers a finding."""
        covering = (waiver for waiver in self.waivers if waiver.covers(finding.rule, finding.resource))
        return next(covering, None)


def review(stack: Stack, exported: Path | None = None) -> Review:
    """Previews and judges; against the state in a file of `pulumi stack export`, where its manager is out of reach.

    Raises UsageError, StateError, DeployError where there can be no preview.
    """
    before = _exported(exported) if exported else None
    with lock.exclusive(stack), tempfile.TemporaryDirectory(prefix="pidea-") as folder:
        instances.ensure(stack)
        settings.plan_of(stack)
        pulumi = Pulumi(stack, environment.tools())
        state = deploy.open_state(pulumi)
        log, file = EventLog(), Path(folder) / "findings"
        file.touch()
        result = pulumi.preview([], log, state, findings=file, before=before)
        findings = _findings(file)
    ours = {finding.rule for finding in findings}
    others = [f for f in log.failures if f.message.partition(":")[0] not in ours]
    if others or (result.code and not log.failures):
        reasons = [f"{failure.subject}: {failure.message}" for failure in others] or [result.errors.strip()]
        raise DeployError("\n".join(["There is nothing to judge, the preview failed:", *reasons]))
    source = f"the state of {stack.name}" if state.resources else "an empty state"
    if exported:
        source += f", and what would be lost with the exported state {exported.name}"
    lines = [f"{change.operation} {change.subject}" for change in log.changes]
    return Review(
        stack=stack.name,
        environment=stack.environment,
        source=source,
        counts=log.changed,
        changes=lines,
        findings=findings,
        waivers=waivers.current(stack.environment),
    )


def _exported(path: Path) -> State:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return from_export(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} is not what `pulumi stack export` writes.") from None


def rule(rule_id: str) -> Rule:
    """A rule by its id. Raises UsageError."""
    if rule_id not in RULES:
        raise UsageError(f"There is no rule {rule_id!r}; `./pidea policy explain` lists them.")
    return RULES[rule_id]


def _findings(file: Path) -> list[Finding]:
    found: dict[Finding, None] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        item: dict[str, Any] = json.loads(line)
        found[Finding(**{**item, "status": Status(item["status"])})] = None
    return list(found)
