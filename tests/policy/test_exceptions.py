"""Exceptions as code: what counts, until when, and what a file must look like."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from policies.exceptions import FILE, KEYS, MAX_DAYS, ExceptionsError, Waiver, Waivers, load
from policies.model import Finding, Status
from policies.rules.exceptions import EXCEPTIONS_ARE_CURRENT, RULES, problems_of
from policies.view import Stack

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC).date()
SOON = NOW + 30 * DAY
TODAY = datetime.date(2026, 1, 1)
RULE_IDS = {"runs-as-non-root", "limits-set"}


def waiver(**given: Any) -> Waiver:
    fields = {
        **{"rule": "limits-set", "resource": "service-redis", "environment": "prod", "reason": "it is new"},
        **{"owner": "platform", "expires": TODAY, "line": 1},
    }
    return Waiver(**{**fields, **given})


def waivers(*given: Waiver, environment: str = "prod", today: datetime.date = TODAY) -> Waivers:
    return Waivers(given, environment=environment, today=today)


def entry(**given: str | None) -> str:
    """One exception as text; None leaves a key out."""
    fields: dict[str, str | None] = {
        **{"rule": "limits-set", "resource": "service-redis", "environment": "prod", "reason": "it is new"},
        **{"owner": "platform", "expires": str(SOON)},
        **given,
    }
    lines = [f"{key}: {value}" for key, value in fields.items() if value is not None]
    return "- " + "\n  ".join(lines) + "\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "exceptions.yaml"


def refused(file: Path, content: str | bytes) -> str:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ExceptionsError) as caught:
        load(RULE_IDS, file)
    return str(caught.value)


def accepted(file: Path, content: str) -> list[Waiver]:
    file.write_text(content, encoding="utf-8")
    return load(RULE_IDS, file)


def test_an_exception_is_read_with_its_line(file: Path) -> None:
    first, second = accepted(file, "# why\n" + entry() + "\n" + entry(rule="runs-as-non-root", resource='""'))
    assert first == waiver(expires=SOON, line=2)
    assert second == waiver(rule="runs-as-non-root", resource="", expires=SOON, line=9)


@pytest.mark.parametrize("content", ["", "# nothing\n", "[]\n"])
def test_there_need_not_be_any(file: Path, content: str) -> None:
    assert accepted(file, content) == []


def test_the_packs_own_file_is_beside_the_module() -> None:
    assert FILE.name == "exceptions.yaml"
    assert FILE.parent.name == "policies"
    assert KEYS == ("rule", "resource", "environment", "reason", "owner", "expires")


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_environments(file: Path, environment: str) -> None:
    assert accepted(file, entry(environment=environment))[0].environment == environment


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        *(({key: None}, f"{key!r} is missing") for key in KEYS),
        ({"since": "yesterday"}, "there is no key 'since'"),
        ({"rule": "no-such"}, "there is no rule 'no-such'; `./pidea policy explain` lists them"),
        ({"rule": "3"}, "rule must be a text, is 3"),
        ({"rule": '" "'}, "rule must be a text, is ' '"),
        ({"resource": "[a]"}, "resource must be a text, is ['a']"),
        ({"resource": ""}, "resource must be a text, is None"),
        ({"reason": ""}, "reason must be a text, is None"),
        ({"reason": '""'}, "reason must be a text, is ''"),
        ({"owner": "{a: b}"}, "owner must be a text, is {'a': 'b'}"),
        ({"owner": '"  "'}, "owner must be a text, is '  '"),
        ({"resource": '"*"'}, "resource must not be all of them; switch the rule off instead"),
        ({"resource": '"**"'}, "resource must not be all of them; switch the rule off instead"),
        ({"resource": '" * "'}, "resource must not be all of them; switch the rule off instead"),
        ({"environment": "lab"}, "environment must be one of staging, prod, is 'lab'"),
        ({"environment": "[prod]"}, "environment must be one of staging, prod, is ['prod']"),
        ({"expires": "never"}, "expires must be a day such as 2027-01-31, is 'never'"),
        ({"expires": ""}, "expires must be a day such as 2027-01-31, is None"),
        ({"expires": "20270131"}, "expires must be a day such as 2027-01-31, is 20270131"),
        (
            {"expires": "2027-01-31T00:00:00"},
            "expires must be a day such as 2027-01-31, is datetime.datetime(2027, 1, 31, 0, 0)",
        ),
        ({"expires": "2027-02-30"}, "cannot be read: day is out of range for month"),
        # Two days more: midnight may come between the collection of the tests and this one.
        ({"expires": str(NOW + (MAX_DAYS + 2) * DAY)}, f"expires must be within 366 days, is {NOW + 368 * DAY}"),
        ({"? [a]": "b"}, None),
        ({"owner": "!own x"}, "cannot be read: could not determine a constructor for the tag '!own'"),
        ({"expires": "!!timestamp soon"}, None),
        ({"owner": "!!bool maybe"}, "cannot be read: 'maybe'"),
    ],
)
def test_an_exception_that_is_not_right_is_named_with_file_and_line(
    file: Path, given: dict[str, str | None], problem: str | None
) -> None:
    message = refused(file, "# one that is right\n" + entry() + entry(**given))
    if problem is None:
        assert message.startswith("exceptions.yaml:8: cannot be read: ")
    else:
        assert message == f"exceptions.yaml:8: {problem}"


def test_an_end_may_be_a_year_away_and_may_have_passed(file: Path) -> None:
    assert accepted(file, entry(expires=str(NOW + 366 * DAY)))[0].expires == NOW + 366 * DAY
    assert accepted(file, entry(expires="2020-02-29"))[0].expires == datetime.date(2020, 2, 29)


def test_a_key_that_is_there_twice(file: Path) -> None:
    text = entry() + "  owner: me\n  reason: other\n"
    assert (
        refused(file, text) == "exceptions.yaml:1: 'owner' is there twice\nexceptions.yaml:1: 'reason' is there twice"
    )


def test_what_several_share_may_be_written_once(file: Path) -> None:
    shared = entry().replace("- rule", "- &first\n  rule")
    first, second = accepted(file, shared + "-\n  <<: *first\n  resource: service-app\n")
    assert (first.resource, second.resource) == ("service-redis", "service-app")
    assert second.reason == first.reason == "it is new"


@pytest.mark.parametrize("item", ["x", "3", "[a]", "", "null"])
def test_an_item_that_is_no_exception(file: Path, item: str) -> None:
    said = "must be an exception with rule, resource, environment, reason, owner, expires"
    assert refused(file, f"{entry()}- {item}\n") == f"exceptions.yaml:7: {said}"


def test_all_problems_are_told_at_once(file: Path) -> None:
    found = refused(file, entry(owner=None, expires="never") + entry() + entry(rule="no-such")).splitlines()
    assert found == [
        "exceptions.yaml:1: 'owner' is missing",
        "exceptions.yaml:1: expires must be a day such as 2027-01-31, is 'never'",
        "exceptions.yaml:12: there is no rule 'no-such'; `./pidea policy explain` lists them",
    ]


@pytest.mark.parametrize(("content", "line"), [("rule: x\n", 1), ("# x\n\njust text\n", 3), ("3\n", 1)])
def test_something_else_than_a_list(file: Path, content: str, line: int) -> None:
    assert refused(file, content) == f"exceptions.yaml:{line}: must be a list of exceptions"


@pytest.mark.parametrize(
    ("content", "beginning"),
    [
        (entry() + "- [\n", "exceptions.yaml:8: is not YAML: "),
        (entry() + "\t- x\n", "exceptions.yaml:7: is not YAML: "),
        ("[]\n---\n[]\n", "exceptions.yaml:2: is not YAML: but found another document"),
        ("- *nobody\n", "exceptions.yaml:1: is not YAML: found undefined alias 'nobody'"),
        (b"# x\n- \xff\n", "exceptions.yaml:2: is not YAML: invalid start byte"),
        ("# x\n# y\n- \x00\n", "exceptions.yaml:3: is not YAML: "),
    ],
)
def test_what_is_not_yaml(file: Path, content: str | bytes, beginning: str) -> None:
    assert refused(file, content).startswith(beginning)


def test_a_file_that_cannot_be_read(file: Path) -> None:
    with pytest.raises(ExceptionsError, match=r"^exceptions\.yaml cannot be read: No such file or directory$"):
        load(RULE_IDS, file)
    file.mkdir()
    with pytest.raises(ExceptionsError, match=r"^exceptions\.yaml cannot be read: Is a directory$"):
        load(RULE_IDS, file)


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("service-redis", "service-redis", True),
        ("service-redis", "service-redis-exporter", False),
        ("service-redis", "a-service-redis", False),
        ("service-*", "service-redis", True),
        ("service-*", "volume-redis", False),
        ("*-data", "volume-redis-data", True),
        ("*-data", "volume-redis-data-2", False),
        ("config-*-yml-*", "config-prometheus-yml-abc", True),
        ("service-redis", "SERVICE-REDIS", False),
        ("service-?", "service-a", False),
        ("service-[ab]", "service-a", False),
        ("service-[ab]", "service-[ab]", True),
        ("service.redis", "service-redis", False),
        ("", "", True),
        ("", "service-redis", False),
    ],
)
def test_a_star_stands_for_any_text_and_nothing_else_does(pattern: str, name: str, covered: bool) -> None:
    assert waiver(resource=pattern).covers("limits-set", name) is covered
    assert waiver(resource=pattern).covers("runs-as-non-root", name) is False


def test_it_counts_on_its_last_day_and_not_on_the_next() -> None:
    ends_today = waivers(waiver(expires=TODAY))
    assert ends_today.covers("limits-set", "service-redis") is True
    assert (ends_today.expired, ends_today.unused) == ([], [])
    ended = waivers(waiver(expires=TODAY), today=TODAY + DAY)
    assert ended.covers("limits-set", "service-redis") is False
    assert (ended.current, ended.unused, ended.expired) == ([], [], [waiver(expires=TODAY)])


def test_those_of_another_environment_are_as_if_they_were_not_there() -> None:
    elsewhere = waivers(waiver(environment="staging"), waiver(environment="staging", expires=TODAY - DAY))
    assert elsewhere.covers("limits-set", "service-redis") is False
    assert (elsewhere.current, elsewhere.expired, elsewhere.unused) == ([], [], [])


def test_every_one_that_covers_is_used() -> None:
    exact, glob, other = waiver(), waiver(resource="service-*", line=2), waiver(resource="service-app", line=3)
    given = waivers(exact, glob, other)
    assert given.unused == [exact, glob, other]
    assert given.covers("limits-set", "service-redis") is True
    assert given.unused == [other]


def test_one_that_nobody_could_judge_is_not_called_needless() -> None:
    unjudged, judged = waiver(), waiver(rule="runs-as-non-root", line=2)
    given = waivers(unjudged, judged)
    given.unjudged("limits-set")
    assert given.unused == [judged]
    assert given.covers("limits-set", "service-redis") is True


def finding(message: str) -> Finding:
    return Finding(rule="exceptions-are-current", status=Status.VIOLATION, resource="", urn="", message=message)


def test_what_has_ended_and_what_nothing_needs_is_told() -> None:
    given = waivers(
        waiver(resource="service-app", line=8),
        waiver(expires=TODAY - DAY, line=2),
        waiver(resource="service-edge", line=14),
        waiver(resource="", line=20),
    )
    given.covers("limits-set", "service-edge")
    assert list(problems_of(given)) == [
        finding(
            "has an exception from limits-set for service-redis that ended on 2025-12-31 (exceptions.yaml:2)",
        ),
        finding("has an exception from limits-set for service-app that is not needed (exceptions.yaml:8)"),
        finding("has an exception from limits-set for the stack that is not needed (exceptions.yaml:20)"),
    ]


def test_nothing_is_told_where_all_are_needed() -> None:
    given = waivers(waiver())
    given.covers("limits-set", "service-redis")
    assert list(problems_of(given)) == []
    unjudged = waivers(waiver())
    unjudged.unjudged("limits-set")
    assert list(problems_of(unjudged)) == []


def test_the_rule_itself_leaves_judging_to_the_end() -> None:
    assert RULES == (EXCEPTIONS_ARE_CURRENT,)
    assert EXCEPTIONS_ARE_CURRENT.id == "exceptions-are-current"
    assert EXCEPTIONS_ARE_CURRENT.judge_stack is not None
    assert list(EXCEPTIONS_ARE_CURRENT.judge_stack(Stack([]), {})) == []
