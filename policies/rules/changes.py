"""What a change would take away, compared with the state before it."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from policies.model import Parameters, Problem, Rule, Severity
from policies.view import IMAGE, SERVICE, VOLUME, Malformed, Stack, Unknown, View, component

DATABASES: Final = ("postgres", "redis")
MAJOR: Final = "dev.pidea.version.major"


@dataclasses.dataclass(frozen=True)
class _Approval:
    """`subject` is a resource's name or URN. Counts until the end of its day."""

    subject: str
    approved_by: str
    until: datetime.date

    def covers(self, resource: View) -> bool:
        return self.subject in (resource.name, resource.urn)


def _no_data_loss(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    if stack.before is None:
        raise Unknown("the state before the change")
    today = _day(parameters["today"], "today") if "today" in parameters else _today()
    approvals: list[_Approval] = []
    for number, given in enumerate(parameters.get("approvals", ())):
        try:
            approvals.append(_approval(f"approvals[{number}]", given))
        except Malformed as malformed:
            # Approves nothing, and must not keep what follows from being judged.
            yield Problem(None, f"cannot be read: {malformed}")
    now = {(resource.type, resource.name): resource for resource in stack.resources}
    kept: list[tuple[View, View]] = []
    for old in stack.before:
        if old.type != VOLUME and not old.protect:
            continue
        new = now.get((old.type, old.name))
        if new is not None:
            kept.append((old, new))
        else:
            yield from _refused(old, old, "would be removed with what it holds", approvals, today)
    # Last: what it will be like may not be known yet.
    for old, new in kept:
        for what in _replaced(old, new) if old.type == VOLUME else ():
            yield from _refused(old, new, f"would be replaced by an empty one: {what}", approvals, today)


def _refused(
    old: View, subject: View, what: str, approvals: list[_Approval], today: datetime.date
) -> Iterator[Problem]:
    given = sorted((approval for approval in approvals if approval.covers(old)), key=lambda found: found.until)
    if not given:
        yield Problem(subject, what)
    elif given[-1].until < today:
        yield Problem(subject, f"{what}; {given[-1].approved_by} approved it until {given[-1].until}")


def _replaced(old: View, new: View) -> Iterator[str]:
    """What of a volume the provider cannot change: another value makes another volume."""
    # Where the program does not name them, what is there stays.
    for key, default in (("name", ""), ("driver", "local")):
        before, after = old.text(key, default=default), new.text(key)
        if before and after and before != after:
            yield f"{key} {before} becomes {after}"
    if old.pairs("driverOpts") != new.pairs("driverOpts"):
        yield "driverOpts change"
    if "labels" not in new.ignores and old.labels("labels") != new.labels("labels"):
        yield "labels change"


def _approval(where: str, given: Any) -> _Approval:
    texts = {key: value for key, value in given.items() if isinstance(value, str)} if isinstance(given, Mapping) else {}
    subject, approved_by = texts.get("resource") or texts.get("urn"), texts.get("approved_by")
    if not subject or not approved_by or "until" not in texts:
        raise Malformed(f"{where} must have resource or urn, approved_by and until")
    return _Approval(subject, approved_by, _day(texts["until"], f"{where}.until"))


def _day(text: str, where: str) -> datetime.date:
    try:
        day = datetime.date.fromisoformat(text)
    except (TypeError, ValueError):
        day = None
    # Python reads more than one notation.
    if day is None or str(day) != text:
        raise Malformed(f"{where} must be a day such as 2027-01-31")
    return day


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _no_downgrade(stack: Stack, _: Parameters) -> Iterator[Problem]:
    if stack.before is None:
        raise Unknown("the state before the change")
    hidden: list[Unknown] = []
    for database in DATABASES:
        old, new = _image(stack.before, database), _image(stack.resources, database)
        try:
            # The same content under the same name is the same version.
            if old is None or new is None or old.text("name") == new.text("name"):
                continue
            before, after = _major(stack.before, database, old), _major(stack.resources, database, new)
        except Unknown as unknown:
            hidden.append(unknown)  # what is certain about the others comes first
            continue
        if after < before:
            yield Problem(new, f"goes from {database} {before} back to {after}, which cannot read what {before} wrote")
    if hidden:
        raise hidden[0]


def _image(resources: Sequence[View], database: str) -> View | None:
    found = (resource for resource in resources if resource.type == IMAGE and resource.name == f"image-{database}")
    return next(found, None)


def _major(resources: Sequence[View], database: str, image: View) -> int:
    """From the service's label, the build's arguments, or the image's tag. Raises Unknown where none of them tells."""
    service = next((found for found in resources if found.type == SERVICE and component(found) == database), None)
    texts = [
        service.labels("labels").get(MAJOR, "") if service else "",
        image.text("build", "buildArgs", f"{database.upper()}_MAJOR"),
        # Our own tag is a digest of the content: 16 digits are no version.
        image.text("name").partition("@")[0].rpartition("/")[2].partition(":")[2],
    ]
    for text in texts:
        found = re.fullmatch(r"v?([0-9]{1,3})([.-].*)?", text)
        if found:
            return int(found[1])
    raise Unknown(f"the major version of {database}")


RULES: Final = (
    Rule(
        id="no-data-loss",
        title="Nothing that holds data is removed or replaced without an approval",
        severity=Severity.CRITICAL,
        description="A volume that is removed or replaced takes its data with it, and no rollback brings them back.",
        remediation="Undo it, or approve it in policies/environments.py: resource or urn, approved_by, until (a day).",
        judge_stack=_no_data_loss,
        parameters={
            "approvals": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["approved_by", "until"],
                    "properties": {key: {"type": "string"} for key in ("resource", "urn", "approved_by", "until")},
                },
                "description": "What may be removed, who says so, and until which day.",
            }
        },
    ),
    Rule(
        id="no-database-downgrade",
        title="PostgreSQL and Redis do not go back to an older major version",
        severity=Severity.CRITICAL,
        description="An older major version cannot read the files of a newer one: the database would not start.",
        remediation="Keep the version, or restore a backup into a new volume.",
        judge_stack=_no_downgrade,
    ),
)
