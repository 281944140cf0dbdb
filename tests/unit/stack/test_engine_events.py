"""Engine events as Pulumi writes them."""

from __future__ import annotations

import json
from typing import Any

from ops.stack.events import Change, EventLog, kind_of, name_of, subject_of

SERVICE = "urn:pulumi:staging::pidea::pidea:index:App$docker:index/service:Service::service-app"
CONFIG = "urn:pulumi:staging::pidea::docker:index/serviceConfig:ServiceConfig::config-redis"
COMPONENT = "urn:pulumi:staging::pidea::pidea:index:App::app"


class Clock:
    """Counts one second for each look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def step(kind: str, operation: str, urn: str, *, custom: bool = True) -> str:
    """One line of the log."""
    state = {"custom": custom, "type": urn.split("::")[2]}
    metadata: dict[str, Any] = {"op": operation, "urn": urn, "type": urn.split("::")[2], "new": state, "logical": True}
    return json.dumps({"sequence": 1, kind: {"metadata": metadata}})


def test_names_for_people() -> None:
    assert name_of(SERVICE) == "service-app"
    assert kind_of(CONFIG) == "service config"
    assert subject_of(SERVICE) == "service app"
    assert subject_of(CONFIG) == "service config redis"


def test_a_change_takes_from_its_start_to_its_end() -> None:
    seen: list[Change] = []
    log = EventLog(seen.append, Clock())
    log.feed(step("resourcePreEvent", "create", SERVICE))
    assert list(log.running) == [SERVICE]
    log.feed(step("resOutputsEvent", "create", SERVICE))
    assert log.running == {}
    assert [(change.text, change.seconds) for change in seen] == [("created service app", 1.0)]


def test_components_and_what_stays_are_not_shown() -> None:
    seen: list[Change] = []
    log = EventLog(seen.append)
    for urn, operation, custom in ((COMPONENT, "create", False), (SERVICE, "same", True), (SERVICE, "refresh", True)):
        log.feed(step("resourcePreEvent", operation, urn, custom=custom))
        log.feed(step("resOutputsEvent", operation, urn, custom=custom))
    assert seen == []


def test_a_replacement_is_its_two_halves() -> None:
    seen: list[Change] = []
    log = EventLog(seen.append)
    for operation in ("create-replacement", "replace", "delete-replaced"):
        log.feed(step("resourcePreEvent", operation, CONFIG))
        log.feed(step("resOutputsEvent", operation, CONFIG))
    assert [change.text for change in seen] == [
        "created anew service config redis",
        "removed the old service config redis",
    ]


def test_failures_have_their_resource_and_plain_text() -> None:
    log = EventLog()
    log.feed(step("resourcePreEvent", "update", SERVICE))
    log.feed(step("resOpFailedEvent", "update", SERVICE))
    message = "<{%reset%}>update rolled back<{%reset%}>\n"
    log.feed(json.dumps({"diagnosticEvent": {"urn": SERVICE, "message": message, "severity": "error"}}))
    log.feed(json.dumps({"diagnosticEvent": {"message": "careful", "severity": "warning"}}))
    assert [(failure.subject, failure.message) for failure in log.failures] == [("service app", "update rolled back")]
    assert [change.failed for change in log.changes] == [True]
    assert log.warnings == ["careful"]


def test_the_summary_counts_what_changed() -> None:
    log = EventLog()
    log.feed(json.dumps({"summaryEvent": {"resourceChanges": {"same": 40, "update": 2, "create": 1, "refresh": 3}}}))
    assert log.finished
    assert log.changed == {"create": 1, "update": 2}


def test_mandatory_policies_are_failures_and_advisory_ones_warnings() -> None:
    log = EventLog()
    for level in ("mandatory", "advisory"):
        event = {"policyName": "limits", "message": "set one", "enforcementLevel": level, "resourceUrn": SERVICE}
        log.feed(json.dumps({"policyEvent": event}))
    assert [failure.message for failure in log.failures] == ["limits: set one"]
    assert log.warnings == ["limits: set one"]


def test_a_torn_line_is_passed_over() -> None:
    log = EventLog()
    log.feed('{"sequence": 1, "summaryEv')
    assert not log.finished


def test_a_deployment_of_several_runs_counts_what_each_of_them_changed() -> None:
    members, rest = EventLog(), EventLog()
    members.feed(step("resOutputsEvent", "update", SERVICE))
    members.feed(json.dumps({"summaryEvent": {"resourceChanges": {"update": 1, "same": 9}}}))
    rest.feed(json.dumps({"summaryEvent": {"resourceChanges": {"same": 10}}}))
    rest.follow(members)
    assert rest.changed == {"update": 1}
    assert [change.text for change in rest.changes] == ["updated service app"]
