"""What watches the stack can do so: alerts read metrics that there are, promises are measured, costs are as planned."""

from __future__ import annotations

import re
import uuid

import pytest

from infra import names
from tests.stack import watching
from tests.stack.commands import run
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance
from tests.stack.waiting import wait_for_none, wait_until
from tests.stack.watching import MEASURED_WITHIN_SECONDS

# Only where there are several servers.
OF_CLUSTERS = re.compile(r"patroni_\w+|etcd_\w+|redis_sentinel_\w+|probe_\w+|alertmanager_cluster_members")
# Paths, ids and the like have thousands; the most that is well known is the exporter's list of its own queries.
MOST_VALUES_OF_A_LABEL = 400


@pytest.fixture
def endpoints(stack: Instance) -> Endpoints:
    """The ways in."""
    return Endpoints(stack.outputs())


def test_every_alert_reads_metrics_that_there_are(endpoints: Endpoints) -> None:
    endpoints.messages()  # nobody counts the traces of a stack that has had no user
    wait_for_none(
        lambda: watching.metrics_that_rules_miss(endpoints, but_for=OF_CLUSTERS),
        "a metric that no rule can find",
        timeout_seconds=MEASURED_WITHIN_SECONDS,
    )


def test_nothing_alerts_while_all_is_well(endpoints: Endpoints) -> None:
    def firing() -> list[str]:
        series = endpoints.prometheus("query", query='ALERTS{alertstate="firing"}')["result"]
        # What the machine that runs the tests is short of is no fault of the stack's.
        return [str(one["metric"]) for one in series if one["metric"]["service"] != "node"]

    wait_for_none(firing, "an alert that fires", timeout_seconds=MEASURED_WITHIN_SECONDS)


def test_promises_are_measured_and_shown(stack: Instance, endpoints: Endpoints) -> None:
    messages = endpoints.messages()

    def measured() -> dict[str, float]:
        endpoints.write(messages, "a message")
        endpoints.contents(messages)
        endpoints.contents(messages)
        series = endpoints.prometheus("query", query="slo:requests:rate5m > 0")["result"]
        return {one["metric"]["slo"]: float(one["value"][1]) for one in series}

    promises = {"availability", "backups", "cached-reads", "tracing", "uncached-reads", "writes"}
    wait_until(lambda: set(measured()) == promises, "all are measured", timeout_seconds=MEASURED_WITHIN_SECONDS)
    done = stack.pidea("slo", "--json")
    assert done.code == 0, done.text
    found = {one["name"]: one for one in done.json["objectives"]}
    assert set(found) == promises
    assert (found["availability"]["target"], found["availability"]["period_days"]) == (0.999, 14)
    assert not [name for name, one in found.items() if one["is_spent"]]
    table = stack.pidea("slo").output
    assert all(name in table for name in promises)


def test_a_silence_is_made_shown_and_ended(stack: Instance) -> None:
    where = stack.command("silence")[2:]
    made = run(["./pidea", "silence", "add", *where, "alertname=PideaNothing", "--for", "30m", "--comment", "a test"])
    assert made.code == 0, made.text
    listed = run(["./pidea", "silence", "list", *where, "--json"])
    (silence,) = (one for one in listed.json if one["id"] == made.output.strip())
    assert (silence["matchers"], silence["comment"], silence["state"]) == ("alertname=PideaNothing", "a test", "active")
    ended = run(["./pidea", "silence", "expire", *where, silence["id"][:8]])
    assert ended.code == 0, ended.text
    assert run(["./pidea", "silence", "list", *where, "--json"]).json == []
    wrong = run(["./pidea", "silence", "add", *where, "PideaNothing", "--comment", "a test"])
    assert (wrong.code, "picks no alerts" in wrong.errors) == (2, True), wrong.text


def test_every_look_at_a_log_shows_all_replicas_to_the_end(stack: Instance) -> None:
    (app,) = (service for service in stack.plan.services if service.name == names.APP)
    replicas = {f"{names.APP}.{n + 1}" for n in range(app.replicas)}
    assert len(replicas) > 1
    # Docker's own log of a service stands still at every third look or so, and shows one of them then.
    for _ in range(12):
        done = stack.pidea("logs", names.APP, "--tail", "1000")
        assert (done.code, done.errors) == (0, ""), done.text
        assert {line.partition(" | ")[0] for line in done.output.splitlines()} == replicas


def test_the_lines_about_one_request_are_found(stack: Instance, endpoints: Endpoints) -> None:
    trace_id = uuid.uuid4().hex
    endpoints.write(endpoints.messages(), "a message", traceparent=f"00-{trace_id}-{trace_id[:16]}-01")

    def lines() -> list[str]:
        done = stack.pidea("logs", "--trace", trace_id)
        assert (done.code, done.errors) == (0, ""), done.text
        return done.output.splitlines()

    found = wait_until(lines, "the line is written", pause_seconds=2)
    assert all(trace_id in line for line in found)
    assert any(line.startswith("app.") and "POST" in line for line in found), found
    wrong = stack.pidea("logs", "--trace", "123")
    assert (wrong.code, "no trace id" in wrong.errors) == (2, True), wrong.text


def test_watching_costs_less_than_is_planned(endpoints: Endpoints) -> None:
    def costs() -> dict[str, float]:
        asked = {
            "series": "prometheus_tsdb_head_series / on () group_left () watching:series_budget:count",
            "samples": "instance:prometheus_samples:rate5m"
            " / on () group_left () watching:samples_per_second_budget:count",
            "rules": "instance:prometheus_rules:seconds / on () group_left () watching:rule_seconds_budget:count",
        }
        found = {name: endpoints.prometheus("query", query=query)["result"] for name, query in asked.items()}
        return {name: float(result[0]["value"][1]) for name, result in found.items() if result}

    parts = wait_until(
        lambda: found if len(found := costs()) == 3 else {},
        "what watching costs is known",
        timeout_seconds=MEASURED_WITHIN_SECONDS,
    )
    assert all(0 < part < 0.5 for part in parts.values()), parts


def test_no_label_has_a_value_for_everything(endpoints: Endpoints) -> None:
    counts = {item["name"]: item["value"] for item in endpoints.prometheus("status/tsdb")["labelValueCountByLabelName"]}
    many = {name: count for name, count in counts.items() if count > MOST_VALUES_OF_A_LABEL and name != "__name__"}
    assert many == {}
    assert names.PROMETHEUS in endpoints.prometheus("label/job/values")
