"""Applies rules to resources and sorts what they find: violations, what is waived, what cannot be judged yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policies.exceptions import Waivers
from policies.model import Finding, Parameters, Problem, Rule, Status
from policies.view import Malformed, Stack, Unknown, View

CANNOT_JUDGE = "cannot be judged until deployed"


def judge_resource(rule: Rule, resource: View, parameters: Parameters, waivers: Waivers) -> list[Finding]:
    """What a rule has to say of one resource; nothing where the rule is about other types."""
    judge = rule.judge
    if judge is None or resource.type not in rule.types:
        return []

    def problems() -> Iterator[Problem]:
        # Called in here, so that what a rule raises before its first problem is sorted out too.
        for text in judge(resource, parameters):
            yield Problem(resource, text)

    return list(_sorted_out(rule, problems(), waivers, resource))


def judge_stack(rule: Rule, stack: Stack, parameters: Parameters, waivers: Waivers) -> list[Finding]:
    """What a rule has to say of the whole stack."""
    judge = rule.judge_stack
    if judge is None:
        return []

    def problems() -> Iterator[Problem]:
        yield from judge(stack, parameters)

    return list(_sorted_out(rule, problems(), waivers, None))


def _sorted_out(rule: Rule, problems: Iterable[Problem], waivers: Waivers, subject: View | None) -> Iterator[Finding]:
    try:
        for problem in problems:
            waived = waivers.covers(rule.id, problem.resource.name if problem.resource else "")
            status = Status.WAIVED if waived else Status.VIOLATION
            yield _finding(rule, status, problem.resource, problem.text)
    except Unknown as unknown:
        waivers.unjudged(rule.id)
        yield _finding(rule, Status.UNKNOWN, subject, f"{CANNOT_JUDGE}: {unknown.path} is not known yet")
    except Malformed as malformed:
        # Nothing passes because it is written in a way that nobody understands. What comes after it is not judged.
        waivers.unjudged(rule.id)
        yield _finding(rule, Status.VIOLATION, subject, f"cannot be read: {malformed}")


def _finding(rule: Rule, status: Status, resource: View | None, text: str) -> Finding:
    return Finding(
        rule=rule.id,
        status=status,
        resource=resource.name if resource else "",
        urn=resource.urn if resource else "",
        message=text,
    )
