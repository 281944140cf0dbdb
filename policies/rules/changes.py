"""What a change would take away, compared with the state before it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policies.model import Parameters, Problem, Rule, Severity
from policies.view import VOLUME, Malformed, Stack, Unknown, View

# Another value makes another volume, and the old one stays behind or goes.
IDENTITY: Final = ("name", "driver")


def _no_data_loss(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    if stack.before is None:
        raise Unknown("the state before the change")
    today = datetime.date.fromisoformat(parameters["today"]) if "today" in parameters else _today()
    approved = {name for name, until in _approvals(parameters) if until >= today}
    now = {(resource.type, resource.name): resource for resource in stack.resources}
    for old in stack.before:
        if old.type != VOLUME and not old.protect:
            continue
        new = now.get((old.type, old.name))
        if old.name in approved:
            continue
        if new is None:
            yield Problem(old, "would be removed with what it holds")
            continue
        if old.type == VOLUME:
            yield from (Problem(new, what) for what in _replaced(old, new))


def _replaced(old: View, new: View) -> Iterator[str]:
    for key in IDENTITY:
        before, after = old.text(key), new.text(key)
        # Docker fills in what the program does not name.
        if before and after and before != after:
            yield f"would be replaced by an empty one: {key} {before} becomes {after}"


def _approvals(parameters: Parameters) -> Iterator[tuple[str, datetime.date]]:
    for number, approval in enumerate(parameters.get("approvals", ())):
        yield _approval(number, approval)


def _approval(number: int, approval: Any) -> tuple[str, datetime.date]:
    if not isinstance(approval, Mapping) or not all(approval.get(key) for key in ("resource", "approved_by", "until")):
        raise Malformed(f"approvals[{number}] must have resource, approved_by and until")
    try:
        return str(approval["resource"]), datetime.date.fromisoformat(str(approval["until"]))
    except ValueError:
        raise Malformed(f"approvals[{number}].until must be a day such as 2027-01-31") from None


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


RULES: Final = (
    Rule(
        id="no-data-loss",
        title="Nothing that holds data is removed or replaced without an approval",
        severity=Severity.CRITICAL,
        description="A volume that is removed or replaced takes its data with it, and no rollback brings them back.",
        remediation="Undo it; or approve it in the pack's configuration: resource, approved_by, and until, a day.",
        judge_stack=_no_data_loss,
        parameters={
            "approvals": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["resource", "approved_by", "until"],
                    "properties": {key: {"type": "string"} for key in ("resource", "approved_by", "until")},
                },
                "description": "What may be removed, who says so, and until which day.",
            }
        },
    ),
)
