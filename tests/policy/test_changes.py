"""What a change may not take away."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pulumi_policy.proxy import UNKNOWN_ARRAY_VALUE, UNKNOWN_OBJECT_VALUE, UNKNOWN_STRING_VALUE

from policies.model import Finding, Status
from policies.rules import changes
from policies.view import IMAGE, NETWORK, VOLUME, View
from tests.policy.fixtures import asked_of_stack, messages, view

RULES = {rule.id: rule for rule in changes.RULES}
RULE = RULES["no-data-loss"]
URN = "urn:pulumi:prod::pidea::docker:index/volume:Volume::volume-data"
LABELS = [{"label": "a", "value": "x"}, {"label": "b", "value": "y"}]
REMOVED = "would be removed with what it holds"
REPLACED = "would be replaced by an empty one: "
NAMED_ANEW = f"{REPLACED}name data becomes data-2"
DAY = "2026-01-01"


def volume(resource: str = "volume-data", **props: Any) -> View:
    return view({"name": "data", **props}, VOLUME, resource, urn=URN)


def found(now: list[View], before: list[View] | None, **parameters: Any) -> list[Finding]:
    return asked_of_stack(RULE, now, before, **{"today": DAY, **parameters})


def said(now: list[View], before: list[View] | None, **parameters: Any) -> list[str]:
    findings = found(now, before, **parameters)
    assert {finding.status for finding in findings} <= {Status.VIOLATION}
    return messages(findings)


def approval(**given: Any) -> dict[str, Any]:
    return {"resource": "volume-data", "approved_by": "Ada", "until": DAY, **given}


def test_the_rule() -> None:
    assert RULE.judge_stack is not None
    schema = RULE.parameters["approvals"]
    assert schema["type"] == "array"
    assert schema["items"]["required"] == ["approved_by", "until"]
    assert schema["items"]["properties"] == {
        key: {"type": "string"} for key in ("resource", "urn", "approved_by", "until")
    }


def test_without_the_state_before_it_cannot_be_judged() -> None:
    for parameters in ({}, {"approvals": ["x"]}, {"today": "x"}):
        only = found([], None, **parameters)
        assert [(item.status, item.message) for item in only] == [
            (Status.UNKNOWN, "cannot be judged until deployed: the state before the change is not known yet")
        ]


def test_a_new_stack_loses_nothing() -> None:
    assert said([volume()], []) == []


def test_what_stays_as_it_is_is_not_lost() -> None:
    assert said([volume(driverOpts={"o": "x"}, labels=LABELS)], [volume(driverOpts={"o": "x"}, labels=LABELS)]) == []


def test_a_volume_that_is_missing() -> None:
    (only,) = found([volume("volume-other")], [volume()])
    assert (only.status, only.resource, only.urn, only.message) == (Status.VIOLATION, "volume-data", URN, REMOVED)


def test_the_same_name_of_another_type_is_something_else() -> None:
    assert said([view({"name": "data"}, NETWORK, "volume-data")], [volume()]) == [REMOVED]


@pytest.mark.parametrize(("protect", "expected"), [(True, [REMOVED]), (False, [])])
def test_other_resources_count_where_they_were_protected(protect: bool, expected: list[str]) -> None:
    before = view({}, NETWORK, "network-data", protect=protect)
    assert said([], [before]) == expected
    assert said([view({"name": "other"}, NETWORK, "network-data")], [before]) == []


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {"name": "data-2"}, ["name data becomes data-2"]),
        ({"name": None}, {"name": "data-2"}, []),
        ({}, {"name": None}, []),
        ({"driver": "local"}, {"driver": "nfs"}, ["driver local becomes nfs"]),
        # Docker's own driver.
        ({}, {"driver": "nfs"}, ["driver local becomes nfs"]),
        ({}, {"driver": "local"}, []),
        # What is not named stays as it is.
        ({"driver": "nfs"}, {}, []),
        ({"driver": "nfs"}, {"driver": None}, []),
        ({"driver": "nfs"}, {"driver": "local"}, ["driver nfs becomes local"]),
        ({"driverOpts": {"o": "x"}}, {"driverOpts": {"o": "y"}}, ["driverOpts change"]),
        ({"driverOpts": {"o": "x"}}, {}, ["driverOpts change"]),
        ({}, {"driverOpts": {"o": "x"}}, ["driverOpts change"]),
        ({"driverOpts": {}}, {"driverOpts": None}, []),
        ({"labels": LABELS}, {"labels": LABELS[::-1]}, []),
        ({"labels": LABELS}, {"labels": LABELS[:1]}, ["labels change"]),
        ({"labels": LABELS}, {}, ["labels change"]),
        ({"labels": []}, {}, []),
        (
            {"labels": LABELS},
            {"name": "data-2", "driver": "nfs", "driverOpts": {"o": "x"}},
            ["name data becomes data-2", "driver local becomes nfs", "driverOpts change", "labels change"],
        ),
    ],
)
def test_a_volume_that_would_be_another(before: dict[str, Any], now: dict[str, Any], expected: list[str]) -> None:
    assert said([volume(**now)], [volume(**before)]) == [REPLACED + what for what in expected]


def test_labels_that_the_program_ignores_make_no_other_volume() -> None:
    """By another manager than the first one, a volume has none."""
    now = view({"name": "data"}, VOLUME, "volume-data", urn=URN, ignores=["labels"])
    assert said([now], [volume(labels=LABELS)]) == []
    assert said([now], [volume(labels=LABELS, driverOpts={"o": "x"})]) == [f"{REPLACED}driverOpts change"]


@pytest.mark.parametrize(
    ("key", "unknown"),
    [
        ("name", UNKNOWN_STRING_VALUE),
        ("driver", UNKNOWN_STRING_VALUE),
        ("driverOpts", UNKNOWN_OBJECT_VALUE),
        ("labels", UNKNOWN_ARRAY_VALUE),
    ],
)
def test_what_is_not_known_yet_hides_nothing_that_is_certain(key: str, unknown: str) -> None:
    gone = volume("volume-gone")
    findings = found([volume(**{key: unknown})], [volume(), gone])
    assert [(item.status, item.message) for item in findings] == [
        (Status.VIOLATION, REMOVED),
        (Status.UNKNOWN, f"cannot be judged until deployed: {key} is not known yet"),
    ]


def test_what_nobody_understands_is_refused() -> None:
    assert said([volume(driverOpts=[])], [volume()]) == ["cannot be read: driverOpts is not an object"]


@pytest.mark.parametrize("given", [approval(), {"urn": URN, "approved_by": "Ada", "until": DAY}])
def test_an_approval_covers_removal_and_replacement(given: dict[str, Any]) -> None:
    assert said([], [volume()], approvals=[given]) == []
    assert said([volume(name="data-2")], [volume()], approvals=[given]) == []


@pytest.mark.parametrize("resource", ["volume-other", "volume-", "volume-*", "data"])
def test_an_approval_covers_what_it_names_only(resource: str) -> None:
    assert said([], [volume()], approvals=[approval(resource=resource)]) == [REMOVED]
    assert said([volume(name="data-2")], [volume()], approvals=[approval(resource=resource)]) == [NAMED_ANEW]


def test_one_approval_does_not_cover_another_volume() -> None:
    (only,) = found([], [volume(), volume("volume-other")], approvals=[approval()])
    assert only.resource == "volume-other"


@pytest.mark.parametrize(
    ("until", "suffix"),
    [
        ("2026-01-02", None),
        ("2026-01-01", None),
        ("2025-12-31", "; Ada approved it until 2025-12-31"),
    ],
)
def test_an_approval_counts_until_the_end_of_its_day(until: str, suffix: str | None) -> None:
    given = [approval(until=until)]
    assert said([], [volume()], approvals=given) == ([] if suffix is None else [REMOVED + suffix])
    replaced = [] if suffix is None else [NAMED_ANEW + suffix]
    assert said([volume(name="data-2")], [volume()], approvals=given) == replaced


def test_the_latest_approval_counts() -> None:
    old, older = approval(until="2025-12-31"), approval(until="2025-01-01", approved_by="Bob")
    assert said([], [volume()], approvals=[old, approval(), older]) == []
    assert said([], [volume()], approvals=[old, older]) == [f"{REMOVED}; Ada approved it until 2025-12-31"]


def test_the_real_day_counts_where_no_other_is_given() -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    gone = [volume()]
    day = datetime.timedelta(days=1)
    assert asked_of_stack(RULE, [], gone, approvals=[approval(until=str(today + day))]) == []
    assert len(asked_of_stack(RULE, [], gone, approvals=[approval(until=str(today - day))])) == 1


INCOMPLETE = "must have resource or urn, approved_by and until"
NO_DAY = "must be a day such as 2027-01-31"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("volume-data", f" {INCOMPLETE}"),
        (None, f" {INCOMPLETE}"),
        ([], f" {INCOMPLETE}"),
        ({}, f" {INCOMPLETE}"),
        (approval(resource=""), f" {INCOMPLETE}"),
        (approval(resource=None), f" {INCOMPLETE}"),
        (approval(resource=["volume-data"]), f" {INCOMPLETE}"),
        (approval(approved_by=""), f" {INCOMPLETE}"),
        (approval(approved_by=3), f" {INCOMPLETE}"),
        ({"resource": "volume-data", "until": DAY}, f" {INCOMPLETE}"),
        ({"resource": "volume-data", "approved_by": "Ada"}, f" {INCOMPLETE}"),
        (approval(until=None), f" {INCOMPLETE}"),
        (approval(until=20270131), f" {INCOMPLETE}"),
        (approval(until=""), f".until {NO_DAY}"),
        (approval(until="never"), f".until {NO_DAY}"),
        (approval(until="2026-02-30"), f".until {NO_DAY}"),
        (approval(until="20270131"), f".until {NO_DAY}"),
        (approval(until="2027-W01-1"), f".until {NO_DAY}"),
    ],
)
def test_an_approval_that_nobody_understands_approves_nothing(given: Any, problem: str) -> None:
    good = approval(resource="volume-other")
    found_ = said([], [volume(), volume("volume-other")], approvals=[good, given])
    assert found_ == [f"cannot be read: approvals[1]{problem}", REMOVED]


def test_it_is_told_even_where_nothing_is_lost() -> None:
    (only,) = found([volume()], [volume()], approvals=[{}])
    assert (only.resource, only.message) == ("", f"cannot be read: approvals[0] {INCOMPLETE}")


@pytest.mark.parametrize("today", ["x", "", "20260101", None, 3])
def test_a_day_that_is_none(today: Any) -> None:
    assert said([], [volume()], today=today) == [f"cannot be read: today {NO_DAY}"]


def image(database: str, name: str, **build_args: str) -> View:
    build = {"build": {"buildArgs": build_args}} if build_args else {}
    return view({"name": name, **build}, IMAGE, f"image-{database}")


def server(database: str, major: str) -> View:
    given = {"dev.pidea.component": database, "dev.pidea.version.major": major}
    return view(
        {"labels": [{"label": key, "value": value} for key, value in given.items()]}, name=f"service-{database}"
    )


def versions(now: list[View], before: list[View] | None) -> list[tuple[Status, str, str]]:
    findings = asked_of_stack(RULES["no-database-downgrade"], now, before)
    return [(item.status, item.resource, item.message) for item in findings]


def back(database: str, before: int, after: int) -> tuple[Status, str, str]:
    text = f"goes from {database} {before} back to {after}, which cannot read what {before} wrote"
    return Status.VIOLATION, f"image-{database}", text


def hidden(what: str) -> tuple[Status, str, str]:
    return Status.UNKNOWN, "", f"cannot be judged until deployed: {what} is not known yet"


def test_versions_before_must_be_known() -> None:
    assert versions([image("postgres", "postgres:14")], None) == [hidden("the state before the change")]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("postgres:15", "postgres:14", [back("postgres", 15, 14)]),
        ("postgres:15.4-bookworm", "host:5000/x/postgres:v9.6@sha256:0", [back("postgres", 15, 9)]),
        ("postgres:15", "postgres:15.4", []),
        ("postgres:15", "postgres:16", []),
        ("postgres:9", "postgres:10", []),
        ("postgres:100", "postgres:99", [back("postgres", 100, 99)]),
        ("pidea/postgres:0123456789abcdef", "pidea/postgres:0123456789abcdef", []),
        ("pidea/postgres:1234567890123456", "postgres:14", [hidden("the major version of postgres")]),
        ("postgres:15", "postgres:latest", [hidden("the major version of postgres")]),
        ("postgres:15", "postgres", [hidden("the major version of postgres")]),
        ("postgres:15", "host:5000/postgres", [hidden("the major version of postgres")]),
        ("postgres:15", "postgres:1.2.3", [back("postgres", 15, 1)]),
    ],
)
def test_a_tag_tells_the_version(before: str, after: str, expected: list[tuple[Status, str, str]]) -> None:
    assert versions([image("postgres", after)], [image("postgres", before)]) == expected


def test_a_build_argument_and_a_label_tell_the_version() -> None:
    old, new = image("redis", "pidea/redis:a", REDIS_MAJOR="7"), image("redis", "pidea/redis:b", REDIS_MAJOR="6")
    assert versions([new], [old]) == [back("redis", 7, 6)]
    assert versions([old], [new]) == []
    assert versions([new, server("redis", "8")], [old, server("redis", "8")]) == []
    assert versions([old, server("redis", "7")], [new, server("redis", "8")]) == [back("redis", 8, 7)]
    assert versions([new, server("postgres", "9")], [old]) == [back("redis", 7, 6)]


def test_a_database_that_comes_or_goes_is_not_older() -> None:
    assert versions([], [image("postgres", "postgres:15")]) == []
    assert versions([image("postgres", "postgres:14")], []) == []
    assert versions([image("app", "x:1")], [image("app", "x:2")]) == []


def test_what_is_not_known_of_one_hides_nothing_of_the_other() -> None:
    before = [image("postgres", "postgres:15"), image("redis", "redis:7")]
    now = [image("postgres", UNKNOWN_STRING_VALUE), image("redis", "redis:6")]
    assert versions(now, before) == [back("redis", 7, 6), hidden("name")]
