"""What becomes of what a rule finds."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator

import pytest

from policies.exceptions import Waiver, Waivers
from policies.judge import judge_resource, judge_stack
from policies.model import Finding, Parameters, Problem, Rule, Severity, Status
from policies.view import SERVICE, VOLUME, Malformed, Stack, Unknown, View

TODAY = datetime.date(2026, 1, 1)
REDIS = View({"a": 1}, type=SERVICE, name="service-redis", urn="urn:redis")
DATA = View({}, type=VOLUME, name="volume-data", urn="urn:data")


def waivers(*resources: str, rule: str = "rule") -> Waivers:
    given = [
        Waiver(rule=rule, resource=name, environment="prod", reason="r", owner="o", expires=TODAY, line=n)
        for n, name in enumerate(resources, start=1)
    ]
    return Waivers(given, environment="prod", today=TODAY)


def resource_rule(judge: Callable[[View, Parameters], Iterator[str]]) -> Rule:
    return Rule(
        id="rule", title="", severity=Severity.LOW, description="", remediation="", types=(SERVICE,), judge=judge
    )


def stack_rule(judge: Callable[[Stack, Parameters], Iterator[Problem]]) -> Rule:
    return Rule(id="rule", title="", severity=Severity.LOW, description="", remediation="", judge_stack=judge)


def two_problems(_: View, __: Parameters) -> Iterator[str]:
    yield "is bad"
    yield "is worse"


def of_resource(status: Status, message: str) -> Finding:
    return Finding(rule="rule", status=status, resource="service-redis", urn="urn:redis", message=message)


def of_stack(status: Status, message: str) -> Finding:
    return Finding(rule="rule", status=status, resource="", urn="", message=message)


def test_every_problem_is_a_violation_of_its_resource() -> None:
    assert judge_resource(resource_rule(two_problems), REDIS, {}, waivers()) == [
        of_resource(Status.VIOLATION, "is bad"),
        of_resource(Status.VIOLATION, "is worse"),
    ]


def test_a_sound_resource_is_nothing_to_speak_of() -> None:
    assert judge_resource(resource_rule(lambda _, __: iter(())), REDIS, {}, waivers()) == []


def test_a_rule_is_asked_about_its_types_only() -> None:
    def never(_: View, __: Parameters) -> Iterator[str]:
        raise AssertionError("asked")

    assert judge_resource(resource_rule(never), DATA, {}, waivers()) == []


def test_a_rule_about_the_other_kind_says_nothing() -> None:
    assert judge_resource(stack_rule(lambda _, __: iter([Problem(None, "x")])), REDIS, {}, waivers()) == []
    assert judge_stack(resource_rule(two_problems), Stack([REDIS]), {}, waivers()) == []


def test_rules_get_their_parameters() -> None:
    rule = resource_rule(lambda view, given: iter([f"has {view.text('a')} of {given['limit']}"]))
    assert judge_resource(rule, REDIS, {"limit": 3}, waivers()) == [of_resource(Status.VIOLATION, "has 1 of 3")]
    about_stack = stack_rule(lambda stack, given: iter([Problem(None, f"{len(stack.resources)} of {given['n']}")]))
    assert judge_stack(about_stack, Stack([REDIS]), {"n": 2}, waivers()) == [of_stack(Status.VIOLATION, "1 of 2")]


def test_problems_of_a_stack_are_those_of_its_resources_or_its_own() -> None:
    rule = stack_rule(lambda _, __: iter([Problem(None, "lacks x"), Problem(REDIS, "is bad")]))
    assert judge_stack(rule, Stack([REDIS]), {}, waivers()) == [
        of_stack(Status.VIOLATION, "lacks x"),
        of_resource(Status.VIOLATION, "is bad"),
    ]


def test_what_is_waived_is_found_all_the_same() -> None:
    given = waivers("service-redis")
    assert given.unused == given.current
    found = judge_resource(resource_rule(two_problems), REDIS, {}, given)
    assert found == [of_resource(Status.WAIVED, "is bad"), of_resource(Status.WAIVED, "is worse")]
    assert given.unused == []


def test_a_waiver_of_another_rule_or_resource_changes_nothing() -> None:
    for given in (waivers("service-app"), waivers("service-redis", rule="other"), waivers("")):
        found = judge_resource(resource_rule(two_problems), REDIS, {}, given)
        assert {finding.status for finding in found} == {Status.VIOLATION}
        assert given.unused == given.current


def test_the_stack_is_waived_by_no_name() -> None:
    rule = stack_rule(lambda _, __: iter([Problem(None, "lacks x"), Problem(REDIS, "is bad")]))
    found = judge_stack(rule, Stack([REDIS]), {}, waivers(""))
    assert [finding.status for finding in found] == [Status.WAIVED, Status.VIOLATION]


def test_what_was_found_before_the_unknown_is_kept() -> None:
    def judge(_: View, __: Parameters) -> Iterator[str]:
        yield "is bad"
        raise Unknown("taskSpec.x")

    given = waivers("service-app")
    assert judge_resource(resource_rule(judge), REDIS, {}, given) == [
        of_resource(Status.VIOLATION, "is bad"),
        of_resource(Status.UNKNOWN, "cannot be judged until deployed: taskSpec.x is not known yet"),
    ]
    assert given.unused == []


def test_what_was_found_on_a_stack_before_the_unknown_is_kept() -> None:
    def judge(_: Stack, __: Parameters) -> Iterator[Problem]:
        yield Problem(REDIS, "is bad")
        raise Unknown("x")

    assert judge_stack(stack_rule(judge), Stack([REDIS]), {}, waivers()) == [
        of_resource(Status.VIOLATION, "is bad"),
        of_stack(Status.UNKNOWN, "cannot be judged until deployed: x is not known yet"),
    ]


def test_what_was_waived_before_the_unknown_is_kept() -> None:
    def judge(_: View, __: Parameters) -> Iterator[str]:
        yield "is bad"
        raise Unknown("x")

    found = judge_resource(resource_rule(judge), REDIS, {}, waivers("service-redis"))
    assert [finding.status for finding in found] == [Status.WAIVED, Status.UNKNOWN]


def test_what_nobody_understands_is_a_violation() -> None:
    def judge(_: View, __: Parameters) -> Iterator[str]:
        yield "is bad"
        raise Malformed("mode is not a text")

    given = waivers("service-app")
    assert judge_resource(resource_rule(judge), REDIS, {}, given) == [
        of_resource(Status.VIOLATION, "is bad"),
        of_resource(Status.VIOLATION, "cannot be read: mode is not a text"),
    ]
    # What comes after it was not judged: whether its exception is needed, nobody knows.
    assert given.unused == []


def test_no_exception_covers_what_nobody_understands() -> None:
    def judge(_: View, __: Parameters) -> Iterator[str]:
        yield REDIS.text("a", "b")

    found = judge_resource(resource_rule(judge), REDIS, {}, waivers("service-redis"))
    assert found == [of_resource(Status.VIOLATION, "cannot be read: a is not an object")]


@pytest.mark.parametrize(
    ("raised", "message", "status"),
    [
        (Unknown("x"), "cannot be judged until deployed: x is not known yet", Status.UNKNOWN),
        (Malformed("x"), "cannot be read: x", Status.VIOLATION),
    ],
)
def test_a_rule_may_fail_before_it_yields(raised: Exception, message: str, status: Status) -> None:
    def at_once(_: View, __: Parameters) -> Iterator[str]:
        raise raised

    def of_all(_: Stack, __: Parameters) -> Iterator[Problem]:
        raise raised

    assert judge_resource(resource_rule(at_once), REDIS, {}, waivers()) == [of_resource(status, message)]
    assert judge_stack(stack_rule(of_all), Stack([]), {}, waivers()) == [of_stack(status, message)]


def test_other_errors_are_not_swallowed() -> None:
    def judge(_: View, __: Parameters) -> Iterator[str]:
        raise KeyError("x")

    with pytest.raises(KeyError):
        judge_resource(resource_rule(judge), REDIS, {}, waivers())
