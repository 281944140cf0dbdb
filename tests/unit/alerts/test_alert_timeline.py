"""What the witness tells becomes times: when an alert was pending, fired, was told, and was over."""

from __future__ import annotations

import json
from typing import Any

from ops.alerts.timeline import FIRING, PENDING, RESOLVED, Timeline

DOWN = {"alertname": "Down", "service": "redis"}
OTHER = {"alertname": "Down", "service": "jaeger"}


def states(at: float, *alerts: tuple[dict[str, str], str], source: str = "a") -> str:
    told = [{"labels": labels, "state": state, "since": ""} for labels, state in alerts]
    return json.dumps({"kind": "states", "at": at, "source": source, "alerts": told})


def silent(at: float, source: str = "a") -> str:
    return json.dumps({"kind": "states", "at": at, "source": source, "error": "refused"})


def page(at: float, status: str, labels: dict[str, str] = DOWN, **more: Any) -> str:
    return json.dumps({"kind": "page", "at": at, "status": status, "labels": labels, "began": "", **more})


def timeline(*lines: str) -> Timeline:
    found = Timeline()
    for line in lines:
        found.take(line)
    return found


def test_an_alert_is_followed_from_its_begin_to_its_end() -> None:
    found = timeline(
        states(10),
        states(20, (DOWN, PENDING)),
        states(80, (DOWN, FIRING)),
        page(90, FIRING),
        states(120),
        page(150, RESOLVED),
    )
    assert found.entered("Down", {}, {PENDING}, 0) == 20
    assert found.entered("Down", {}, {FIRING}, 0) == 80
    assert found.told("Down", {"service": "redis"}, FIRING, 0) == 90
    assert found.told("Down", {}, RESOLVED, 0) == 150
    assert found.left("Down", {}, 100) == 120


def test_what_happened_before_is_not_what_is_asked_for() -> None:
    found = timeline(page(5, FIRING), page(90, FIRING), states(5, (DOWN, PENDING)), states(30, (DOWN, PENDING)))
    assert found.told("Down", {}, FIRING, 10) == 90
    assert found.told("Down", {}, FIRING, 95) is None
    assert found.entered("Down", {}, {PENDING}, 10) == 30
    # Over long before: since it is asked for.
    assert timeline(states(5), states(6)).left("Down", {}, 50) == 50


def test_it_is_over_when_it_is_for_the_first_time_after_the_healing() -> None:
    found = timeline(states(20, (DOWN, FIRING)), states(40), states(60, (DOWN, PENDING)), states(90))
    assert found.left("Down", {}, 30) == 40
    assert found.left("Down", {}, 50) == 50
    assert found.left("Down", {}, 60) == 90


def test_labels_tell_one_from_the_other() -> None:
    found = timeline(page(90, FIRING, OTHER), states(20, (OTHER, FIRING)))
    assert found.told("Down", {"service": "redis"}, FIRING, 0) is None
    assert found.entered("Down", {"service": "redis"}, {FIRING}, 0) is None
    assert found.told("Down", {"service": "jaeger"}, FIRING, 0) == 90
    assert found.left("Down", {"service": "redis"}, 0) == 20
    assert found.left("Down", {"service": "jaeger"}, 0) is None


def test_it_is_over_when_it_is_for_every_prometheus() -> None:
    lines = [states(20, (DOWN, FIRING)), states(21, (DOWN, FIRING), source="b"), states(40)]
    assert timeline(*lines).left("Down", {}, 0) is None
    assert timeline(*lines, states(55, source="b")).left("Down", {}, 0) == 55


def test_a_prometheus_that_does_not_answer_says_nothing() -> None:
    found = timeline(states(20, (DOWN, FIRING)), silent(30))
    assert found.left("Down", {}, 0) is None
    assert [one["alertname"] for one in found.now()] == ["Down"]
    assert timeline(silent(30)).left("Down", {}, 0) is None


def test_lines_may_come_again_and_others_are_left_out() -> None:
    found = timeline("Traceback (most recent call last):", page(90, FIRING), page(90, FIRING), '{"kind": "page"}', "3")
    assert len(found.pages()) == 1
    assert not found.has_started
    found.take('{"kind":"started"}')
    assert found.has_started
