"""Whether a failed update can be noticed, and rolled back."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_policy.proxy import UNKNOWN_OBJECT_VALUE, UNKNOWN_STRING_VALUE

from policies.model import Status
from policies.rules import rollback
from policies.view import SERVICE, VOLUME
from tests.policy.fixtures import SOUND, asked, changed, messages, view

RULES = {rule.id: rule for rule in rollback.RULES}
CHECK = "taskSpec.containerSpec.healthcheck"
MOUNT = "taskSpec.containerSpec.mounts.0"
GRACE = "taskSpec.containerSpec.stopGracePeriod"
UNKNOWN = UNKNOWN_STRING_VALUE


def said(rule: str, props: Any, **parameters: Any) -> list[str]:
    """What the rule objects to."""
    found = asked(RULES[rule], view(props), **parameters)
    assert {finding.status for finding in found} <= {Status.VIOLATION}
    return messages(found)


def test_these_are_the_rules() -> None:
    assert list(RULES) == [
        "has-health-check",
        "rolls-back",
        "watched-long-enough",
        "is-waited-for",
        "update-order-fits",
        "stops-in-time",
    ]
    assert {rule.types for rule in RULES.values()} == {(SERVICE,)}
    assert RULES["update-order-fits"].parameters["sharing"]["type"] == "array"
    assert RULES["update-order-fits"].parameters["sharing"]["items"] == {"type": "string"}


@pytest.mark.parametrize("rule", RULES)
def test_a_sound_service_passes(rule: str) -> None:
    assert said(rule, SOUND) == []


@pytest.mark.parametrize("rule", RULES)
def test_other_resources_are_not_asked(rule: str) -> None:
    assert asked(RULES[rule], view({}, type=VOLUME)) == []


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("has-health-check", CHECK),
        ("has-health-check", f"{CHECK}.tests"),
        ("has-health-check", f"{CHECK}.tests.0"),
        ("rolls-back", "updateConfig"),
        ("rolls-back", "updateConfig.failureAction"),
        ("rolls-back", "updateConfig.maxFailureRatio"),
        ("watched-long-enough", CHECK),
        ("watched-long-enough", f"{CHECK}.tests"),
        ("watched-long-enough", f"{CHECK}.interval"),
        ("watched-long-enough", f"{CHECK}.retries"),
        ("watched-long-enough", f"{CHECK}.startPeriod"),
        ("watched-long-enough", "updateConfig.monitor"),
        ("is-waited-for", "convergeConfig"),
        ("update-order-fits", "updateConfig.order"),
        ("update-order-fits", "taskSpec.containerSpec.mounts"),
        ("update-order-fits", f"{MOUNT}.type"),
        ("update-order-fits", "endpointSpec"),
        ("stops-in-time", GRACE),
    ],
)
def test_what_is_not_known_yet_cannot_be_judged(rule: str, path: str) -> None:
    found = asked(RULES[rule], view(changed(path, UNKNOWN)))
    where = path.replace(".0", "[0]")
    assert [(finding.status, finding.message) for finding in found] == [
        (Status.UNKNOWN, f"cannot be judged until deployed: {where} is not known yet")
    ]


NO_CHECK = ["has no health check, so that a broken version counts as running"]


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (CHECK, None),
        (CHECK, {}),
        (f"{CHECK}.tests", None),
        (f"{CHECK}.tests", []),
        (f"{CHECK}.tests", ["NONE"]),
        ("taskSpec.containerSpec", None),
        ("taskSpec", None),
    ],
)
def test_no_health_check(path: str, to: Any) -> None:
    assert said("has-health-check", changed(path, to)) == NO_CHECK


@pytest.mark.parametrize("tests", [["CMD", "x"], ["CMD-SHELL", "x"], ["CMD", "NONE"]])
def test_any_health_check_is_one(tests: list[str]) -> None:
    assert said("has-health-check", changed(f"{CHECK}.tests", tests)) == []


def test_a_null_health_check_is_none() -> None:
    props = changed(CHECK, {})
    props["taskSpec"]["containerSpec"]["healthcheck"] = None
    assert said("has-health-check", props) == NO_CHECK


def test_a_health_check_that_is_no_list_is_refused() -> None:
    assert said("has-health-check", changed(f"{CHECK}.tests", "x")) == [f"cannot be read: {CHECK}.tests is not a list"]


@pytest.mark.parametrize(
    ("path", "to", "action"),
    [
        ("updateConfig.failureAction", "pause", "pause"),
        ("updateConfig.failureAction", "continue", "continue"),
        ("updateConfig.failureAction", None, "pause"),
        ("updateConfig", None, "pause"),
    ],
)
def test_no_rollback(path: str, to: Any, action: str) -> None:
    assert said("rolls-back", changed(path, to)) == [f"answers a failed update with {action!r}, not with a rollback"]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (None, []),
        ("0", []),
        (0.0, []),
        ("0.01", ["counts an update as good although 1% of its tasks fail"]),
        (0.5, ["counts an update as good although 50% of its tasks fail"]),
        ("1.0", ["counts an update as good although 100% of its tasks fail"]),
        ("nan", ["cannot be read: updateConfig.maxFailureRatio is not a number"]),
        ("many", ["cannot be read: updateConfig.maxFailureRatio is not a number"]),
    ],
)
def test_how_many_tasks_may_fail(ratio: Any, expected: list[str]) -> None:
    assert said("rolls-back", changed("updateConfig.maxFailureRatio", ratio)) == expected


def test_both_are_told_and_the_certain_one_before_the_unknown() -> None:
    props = changed("updateConfig.failureAction", "pause")
    assert len(said("rolls-back", changed("updateConfig.maxFailureRatio", "0.5", props))) == 2
    found = asked(RULES["rolls-back"], view(changed("updateConfig.maxFailureRatio", UNKNOWN, props)))
    assert [finding.status for finding in found] == [Status.VIOLATION, Status.UNKNOWN]


def too_short(monitor: str, detection: str) -> list[str]:
    return [f"is watched for {monitor} s after an update, but can take {detection} s to show that it is broken"]


@pytest.mark.parametrize(
    ("path", "to", "expected"),
    [
        # 15 s until it counts, then three failures 5 s apart: 30 s.
        ("updateConfig.monitor", "30s", []),
        ("updateConfig.monitor", "29s", too_short("29", "30")),
        ("updateConfig.monitor", None, too_short("5", "30")),
        ("updateConfig", None, too_short("5", "30")),
        ("updateConfig.monitor", "1m", []),
        (f"{CHECK}.startPeriod", "20s", []),
        (f"{CHECK}.startPeriod", "21s", too_short("35", "36")),
        (f"{CHECK}.startPeriod", None, []),
        (f"{CHECK}.interval", "6s", []),
        (f"{CHECK}.interval", "7s", too_short("35", "36")),
        # Docker's own interval is 30 s, and 0 means the same.
        (f"{CHECK}.interval", None, too_short("35", "105")),
        (f"{CHECK}.interval", "0s", too_short("35", "105")),
        (f"{CHECK}.retries", 4, []),
        (f"{CHECK}.retries", 5, too_short("35", "40")),
        (f"{CHECK}.retries", None, []),
        (f"{CHECK}.retries", 0, []),
        # Said by the rule about health checks.
        (CHECK, None, []),
        (CHECK, {}, []),
        (f"{CHECK}.tests", [], []),
        (f"{CHECK}.tests", ["NONE"], []),
        (
            "updateConfig.monitor",
            "soon",
            ["cannot be read: updateConfig.monitor: 'soon' is not a duration such as 30s or 1m5s"],
        ),
    ],
)
def test_how_long_an_update_is_watched(path: str, to: Any, expected: list[str]) -> None:
    assert said("watched-long-enough", changed(path, to)) == expected


@pytest.mark.parametrize(
    ("check", "monitor", "expected"),
    [
        # Docker makes three attempts.
        ({"tests": ["CMD", "x"], "interval": "10s"}, "30s", []),
        ({"tests": ["CMD", "x"], "interval": "10s"}, "29s", too_short("29", "30")),
        ({"tests": ["CMD", "x"], "interval": "10s", "retries": 0}, "29s", too_short("29", "30")),
        ({"tests": ["CMD", "x"]}, "1m30s", []),
        ({"tests": ["CMD", "x"]}, "1m29s", too_short("89", "90")),
    ],
)
def test_what_docker_fills_in(check: dict[str, Any], monitor: str, expected: list[str]) -> None:
    props = changed("updateConfig.monitor", monitor, changed(CHECK, check))
    assert said("watched-long-enough", props) == expected


def test_nobody_waits() -> None:
    expected = ["is not waited for, so that `pulumi up` succeeds before the service does"]
    assert said("is-waited-for", changed("convergeConfig", None)) == expected
    assert said("is-waited-for", changed("convergeConfig", {})) == []


PORT = "starts the new task before the old one has left the machine's port, so that no update can succeed"
DATA = "starts the new task while the old one still writes to the same volume"
STARTS_FIRST = changed("updateConfig.order", "start-first")
ALONE = changed("taskSpec.containerSpec.mounts", [], STARTS_FIRST)


def with_port(mode: str | None, base: Any) -> dict[str, Any]:
    port = {"targetPort": 80} if mode is None else {"targetPort": 80, "publishMode": mode}
    return changed("endpointSpec.ports", [port], base)


def test_starting_first_suits_what_holds_nothing() -> None:
    assert said("update-order-fits", ALONE) == []
    assert said("update-order-fits", changed("taskSpec.containerSpec.mounts", None, STARTS_FIRST)) == []


def test_a_port_of_the_machine_cannot_be_held_twice() -> None:
    assert said("update-order-fits", with_port("host", ALONE)) == [PORT]
    assert said("update-order-fits", with_port("ingress", ALONE)) == []
    assert said("update-order-fits", with_port(None, ALONE)) == []
    assert said("update-order-fits", with_port("host", SOUND)) == []


def test_a_volume_must_not_be_written_twice() -> None:
    assert said("update-order-fits", STARTS_FIRST) == [DATA]
    assert said("update-order-fits", changed(f"{MOUNT}.readOnly", False, STARTS_FIRST)) == [DATA]
    assert said("update-order-fits", changed(f"{MOUNT}.readOnly", True, STARTS_FIRST)) == []
    assert said("update-order-fits", changed(f"{MOUNT}.type", "bind", STARTS_FIRST)) == []
    assert said("update-order-fits", changed(f"{MOUNT}.type", None, STARTS_FIRST)) == []


def test_both_reasons_are_told() -> None:
    assert said("update-order-fits", with_port("host", STARTS_FIRST)) == [PORT, DATA]


@pytest.mark.parametrize("path", ["updateConfig.order", "updateConfig"])
def test_docker_stops_first(path: str) -> None:
    assert said("update-order-fits", with_port("host", changed(path, None))) == []


def test_what_is_made_to_share_may() -> None:
    assert said("update-order-fits", STARTS_FIRST, sharing=["redis"]) == []
    assert said("update-order-fits", STARTS_FIRST, sharing=["app"]) == [DATA]
    assert said("update-order-fits", STARTS_FIRST, sharing=[]) == [DATA]
    # A port of the machine cannot be shared at all.
    assert said("update-order-fits", with_port("host", STARTS_FIRST), sharing=["redis"]) == [PORT]


def test_the_port_is_told_though_mounts_are_unknown() -> None:
    props = changed("taskSpec.containerSpec.mounts", UNKNOWN_OBJECT_VALUE, with_port("host", STARTS_FIRST))
    found = asked(RULES["update-order-fits"], view(props))
    assert [finding.status for finding in found] == [Status.VIOLATION, Status.UNKNOWN]
    assert found[0].message == PORT


@pytest.mark.parametrize(
    ("grace", "expected"),
    [
        ("1s", []),
        ("1ms", []),
        ("0s", ["is killed at once when it is to stop"]),
        ("0", ["is killed at once when it is to stop"]),
        (None, ["does not say how long its stop may take; Docker kills it after 10 s"]),
        ("long", [f"cannot be read: {GRACE}: 'long' is not a duration such as 30s or 1m5s"]),
    ],
)
def test_time_to_stop(grace: str | None, expected: list[str]) -> None:
    assert said("stops-in-time", changed(GRACE, grace)) == expected
