"""The rule that a failed update must be able to roll back."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from policies.rules import rollback

SOUND: dict[str, Any] = {
    "updateConfig": {"failureAction": "rollback", "monitor": "1m5s"},
    "convergeConfig": {"timeout": "180s"},
    "taskSpec": {
        "containerSpec": {
            "healthcheck": {"tests": ["CMD", "true"], "interval": "5s", "retries": 3, "startPeriod": "50s"}
        }
    },
}


def changed(*path: str, to: Any) -> dict[str, Any]:
    service = copy.deepcopy(SOUND)
    target = service
    for key in path[:-1]:
        target = target[key]
    if to is None:
        del target[path[-1]]
    else:
        target[path[-1]] = to
    return service


def test_a_sound_service_has_no_problem() -> None:
    assert list(rollback.problems(SOUND)) == []


@pytest.mark.parametrize(
    ("service", "part"),
    [
        (changed("taskSpec", "containerSpec", "healthcheck", to=None), "no health check"),
        (changed("updateConfig", "failureAction", to="pause"), "does not roll a failed update back"),
        (changed("convergeConfig", to=None), "is not waited for"),
        (changed("updateConfig", "monitor", to="1m4s"), "is watched for 64 s after an update, but can take 65 s"),
        (changed("updateConfig", "monitor", to=None), "is watched for 5 s"),
    ],
)
def test_each_gap_is_one_problem(service: dict[str, Any], part: str) -> None:
    (problem,) = rollback.problems(service)
    assert part in problem


@pytest.mark.parametrize(("text", "expected"), [("30s", 30), ("1m5s", 65), ("1h0m1s", 3601), ("500ms", 0.5)])
def test_durations_are_read_as_docker_writes_them(text: str, expected: float) -> None:
    assert rollback.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "30", "30 s", "1d", "x1s"])
def test_what_is_no_duration_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        rollback.seconds(text)
