"""Exceptions end, and none is kept that nothing needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.exceptions import FILE, Waivers
from policies.model import Finding, Parameters, Problem, Rule, Severity, Status
from policies.view import Stack


def _never(_: Stack, __: Parameters) -> Iterator[Problem]:
    """Judged by `problems_of`, which needs what the other rules have used."""
    return iter(())


EXCEPTIONS_ARE_CURRENT: Final = Rule(
    id="exceptions-are-current",
    title="Every exception is needed and has not ended",
    severity=Severity.HIGH,
    description=(
        "An exception that has ended waives nothing any more, and one that nothing needs would hide the next problem "
        "of the same kind. Both fail, so that somebody decides."
    ),
    remediation="Take it out of policies/exceptions.yaml, or give it a new end and say why.",
    judge_stack=_never,
)
RULES: Final = (EXCEPTIONS_ARE_CURRENT,)


def problems_of(waivers: Waivers) -> Iterator[Finding]:
    """Call it when everything else has been judged."""
    for waiver, why in (
        *((waiver, f"ended on {waiver.expires}") for waiver in waivers.expired),
        *((waiver, "is not needed") for waiver in waivers.unused),
    ):
        what = f"an exception from {waiver.rule} for {waiver.resource or 'the stack'}"
        text = f"has {what} that {why} ({FILE.name}:{waiver.line})"
        yield Finding(rule=EXCEPTIONS_ARE_CURRENT.id, status=Status.VIOLATION, resource="", urn="", message=text)
