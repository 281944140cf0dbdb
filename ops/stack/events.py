"""Pulumi's engine events (the lines of its `--event-log`): what each resource went through, and what went wrong."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

# Not a step of its own: stands for the two that create the new resource and remove the old one.
_MARKERS = frozenset({"replace"})
QUIET_OPERATIONS = frozenset({"same", "read", "refresh", "discard", "remove-pending-replace"})
_PAST = {
    "create": "created",
    "create-replacement": "created anew",
    "update": "updated",
    "delete": "removed",
    "delete-replaced": "removed the old",
    "import": "adopted",
}
# Where in the provider's source a message comes from is of no use to the reader.
_SOURCE = re.compile(r"^sdk-v2/\S+ sdk\.helper_schema: |: provider=docker@\S+$")
_MARKUP = re.compile(r"<\{%.*?%\}>")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A finished operation on one resource; `kind` and `name` are for people (`service`, `redis`)."""

    operation: str
    urn: str
    kind: str
    name: str
    seconds: float
    failed: bool = False

    @property
    def text(self) -> str:
        """One line, without its duration."""
        verb = f"failed to {self.operation}" if self.failed else _PAST.get(self.operation, self.operation)
        return f"{verb} {self.subject}"

    @property
    def subject(self) -> str:
        """The resource, without saying twice what it is: `remote image base` for an `image-base`."""
        return subject_of(self.urn)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """An error that the engine reported; `urn` is empty where it is about no resource."""

    urn: str
    message: str

    @property
    def subject(self) -> str:
        """The resource for people, empty where there is none."""
        return subject_of(self.urn) if self.urn else ""


class EventLog:
    """Takes event lines as they come; keeps what the run changed and calls `on_change` for each change.

    `clock` gives monotonic seconds: Pulumi's own timestamps have whole seconds only.
    """

    def __init__(
        self, on_change: Callable[[Change], None] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.running: dict[str, tuple[str, float]] = {}
        self.changes: list[Change] = []
        self.failures: list[Failure] = []
        self.warnings: list[str] = []
        self.counts: Mapping[str, int] = {}
        self.finished = False
        self._on_change = on_change
        self._clock = clock

    def feed(self, line: str) -> None:
        """One line of the log. A line that is no event (a torn last one) is passed over."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        if pre := event.get("resourcePreEvent"):
            self._started(pre["metadata"])
        elif done := event.get("resOutputsEvent"):
            self._ended(done["metadata"], failed=False)
        elif failed := event.get("resOpFailedEvent"):
            self._ended(failed["metadata"], failed=True)
        elif diagnostic := event.get("diagnosticEvent"):
            self._diagnostic(diagnostic)
        elif error := event.get("errorEvent"):
            self.failures.append(Failure(urn="", message=str(error.get("error", "")).strip()))
        elif policy := event.get("policyEvent"):
            self._policy(policy)
        elif summary := event.get("summaryEvent"):
            self.counts = summary.get("resourceChanges") or {}
            self.finished = True

    @property
    def changed(self) -> dict[str, int]:
        """How many resources each operation touched, without those that changed nothing."""
        return {operation: n for operation, n in sorted(self.counts.items()) if operation not in QUIET_OPERATIONS}

    def follow(self, earlier: EventLog) -> None:
        """Counts what an earlier run of the same deployment changed as well."""
        self.changes[:0] = earlier.changes
        operations = {*earlier.counts, *self.counts}
        self.counts = {name: earlier.counts.get(name, 0) + self.counts.get(name, 0) for name in operations}

    def _started(self, metadata: Mapping[str, Any]) -> None:
        if metadata["op"] not in _MARKERS and _is_custom(metadata):
            self.running[metadata["urn"]] = (metadata["op"], self._clock())

    def _ended(self, metadata: Mapping[str, Any], *, failed: bool) -> None:
        urn = metadata["urn"]
        if metadata["op"] in _MARKERS:
            return
        now = self._clock()
        operation, started = self.running.pop(urn, (metadata["op"], now))
        if operation in QUIET_OPERATIONS and not failed:
            return
        change = Change(
            operation=operation,
            urn=urn,
            kind=kind_of(urn),
            name=name_of(urn),
            seconds=now - started,
            failed=failed,
        )
        self.changes.append(change)
        if self._on_change and _is_custom(metadata):
            self._on_change(change)

    def _diagnostic(self, diagnostic: Mapping[str, Any]) -> None:
        message = _MARKUP.sub("", str(diagnostic.get("message", ""))).strip()
        if diagnostic.get("severity") == "error" and message:
            self._fail(Failure(urn=diagnostic.get("urn", ""), message=_SOURCE.sub("", message)))
        elif diagnostic.get("severity") == "warning" and message:
            self.warnings.append(message)

    def _fail(self, failure: Failure) -> None:
        # The engine sums up at the end what it has said before, once for the resource and once for the stack.
        is_sum = "error occurred:" in failure.message or failure.message in {"update failed", "preview failed"}
        if not (is_sum and self.failures):
            self.failures.append(failure)

    def _policy(self, policy: Mapping[str, Any]) -> None:
        message = f"{policy.get('policyName')}: {_MARKUP.sub('', str(policy.get('message', ''))).strip()}"
        if policy.get("enforcementLevel") == "mandatory":
            self.failures.append(Failure(urn=policy.get("resourceUrn", ""), message=message))
        else:
            self.warnings.append(message)


def name_of(urn: str) -> str:
    """A resource's logical name: the last part of its URN."""
    return urn.rpartition("::")[2] if urn else ""


def kind_of(urn: str) -> str:
    """What a resource is, in one word for people: `docker:index/service:Service` → `service`."""
    parts = urn.split("::")
    token = parts[2].rpartition("$")[2] if len(parts) > 3 else ""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", token.rpartition(":")[2]).lower() or "resource"


def subject_of(urn: str) -> str:
    """A resource for people: what it is and its name, without saying anything twice."""
    kind, name = kind_of(urn), name_of(urn)
    last_word = kind.rpartition(" ")[2]
    return f"{kind} {name.removeprefix(f'{last_word}-')}"


def _is_custom(metadata: Mapping[str, Any]) -> bool:
    """True for what a provider manages; components and providers themselves take no time and tell nothing."""
    state = metadata.get("new") or metadata.get("old") or {}
    return bool(state.get("custom")) and not str(metadata.get("type")).startswith("pulumi:")
