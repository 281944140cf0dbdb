"""Prometheus, Alertmanager, Jaeger and HAProxy run with their configuration, and see everything that they must."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import yaml

from infra import names
from tests.invariants import targets
from tests.stack import containers
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance
from tests.stack.waiting import wait_for_none, wait_until

# A target must have been found (5 s) and scraped (15 s), a rule evaluated (15 s); twice that, and a slow machine.
SEEN_WITHIN_SECONDS = 120
SINGLE = {
    names.BACKUP,
    names.DASHBOARDS,
    names.EDGE,
    names.REDIS,
    names.POSTGRES,
    "node",
    names.PROMETHEUS,
    names.ALERTMANAGER,
    names.JAEGER,
}
# What operators see through the edge.
_PAGES = (names.PROMETHEUS, names.ALERTMANAGER, names.JAEGER, names.DASHBOARDS)


@pytest.fixture
def endpoints(stack: Instance) -> Endpoints:
    """The ways in."""
    return Endpoints(stack.outputs())


def test_prometheus_loaded_its_configuration(endpoints: Endpoints, stack: Instance) -> None:
    loaded = yaml.safe_load(endpoints.prometheus("status/config")["yaml"])
    asked = yaml.safe_load(next(c.content for c in stack.plan.configs if c.name == "prometheus-yml"))
    assert loaded["global"]["scrape_interval"] == "15s"
    assert loaded["global"]["external_labels"] == {"environment": "staging", "instance_name": stack.prefix}
    assert loaded["rule_files"] == asked["rule_files"]
    assert [job["job_name"] for job in loaded["scrape_configs"]] == [job["job_name"] for job in asked["scrape_configs"]]
    flags = endpoints.prometheus("status/flags")
    assert (flags["storage.tsdb.path"], flags["storage.tsdb.retention.time"]) == ("/data", "15d")


def test_every_target_is_up(endpoints: Endpoints) -> None:
    def found() -> dict[str, int]:
        active = endpoints.prometheus("targets", state="active")["activeTargets"]
        return dict(Counter(target["labels"]["job"] for target in active))

    wait_for_none(lambda: targets(endpoints.outputs), "a target down", timeout_seconds=SEEN_WITHIN_SECONDS)
    assert found() == {names.APP: 2, **dict.fromkeys(SINGLE, 1)}


def test_every_rule_is_loaded_and_healthy(endpoints: Endpoints, stack: Instance) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in endpoints.prometheus("rules")["groups"] for rule in group["rules"]]

    wait_for_none(
        lambda: [f"{rule['name']}: {rule['health']}" for rule in rules() if rule["health"] != "ok"],
        "a rule that is not healthy",
        timeout_seconds=SEEN_WITHIN_SECONDS,
    )
    (prometheus,) = (service for service in stack.plan.services if service.name == names.PROMETHEUS)
    mounted = {mount.config for mount in prometheus.configs}
    written = [rule for config in stack.plan.configs if config.name in mounted for rule in _rules_of(config.content)]
    assert sorted(rule["name"] for rule in rules()) == sorted(rule.get("alert") or rule["record"] for rule in written)


def test_prometheus_knows_alertmanager(endpoints: Endpoints) -> None:
    known = wait_until(
        lambda: endpoints.prometheus("alertmanagers")["activeAlertmanagers"],
        "Prometheus knows an Alertmanager",
        timeout_seconds=SEEN_WITHIN_SECONDS,
    )
    assert [item["url"].rpartition(":")[2] for item in known] == [
        f"{names.ALERTMANAGER_PORT}/alertmanager/api/v2/alerts"
    ]


def test_alertmanager_loaded_its_configuration(endpoints: Endpoints) -> None:
    loaded = yaml.safe_load(endpoints.operator_get("/alertmanager/api/v2/status").json()["config"]["original"])
    route = loaded["route"]
    assert (route["receiver"], route["group_by"], route["repeat_interval"]) == (
        "operators",
        ["alertname", "service"],
        "4h",
    )
    assert loaded["inhibit_rules"][0]["equal"] == ["service"]


def test_jaeger_listens_where_its_configuration_says(stack: Instance) -> None:
    container = containers.one(stack, names.JAEGER)
    wanted = {
        names.JAEGER_OTLP_HTTP_PORT,
        names.JAEGER_QUERY_PORT,
        names.JAEGER_HEALTH_PORT,
        names.JAEGER_METRICS_PORT,
    }
    assert _listening(container) == wanted


def test_jaeger_keeps_traces_on_its_volume(stack: Instance) -> None:
    inside = containers.one(stack, names.JAEGER).inside
    assert "MANIFEST" in inside.file("/data/keys").listdir()
    assert any(name.endswith(".vlog") for name in inside.file("/data/values").listdir())


def test_haproxy_loaded_its_configuration(stack: Instance) -> None:
    metrics = _haproxy_metrics(stack)
    frontends = set(re.findall(r'^haproxy_frontend_status{proxy="(\w+)"', metrics, re.M))
    assert frontends == {"public", "operators", "metrics"}
    backends = set(re.findall(r'^haproxy_backend_status{proxy="(\w+)"', metrics, re.M))
    assert backends == {"app", "haproxy", *_PAGES}


def test_haproxy_finds_every_replica_healthy(stack: Instance) -> None:
    def up() -> bool:
        found = re.findall(r'^haproxy_server_status{proxy="(\w+)",.*state="UP"} 1$', _haproxy_metrics(stack), re.M)
        wanted = {names.APP: _replicas_of_app(stack), **dict.fromkeys(_PAGES, 1)}
        return Counter(found) == wanted

    wait_until(up, "HAProxy finds every server up")


def _rules_of(content: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(content).get("groups", ()) for rule in group["rules"]]


def _haproxy_metrics(stack: Instance) -> str:
    return containers.one(stack, names.EDGE).fetch(names.EDGE_METRICS_PORT, "/metrics").replace("\r\n", "\n")


def _replicas_of_app(stack: Instance) -> int:
    return next(service.replicas for service in stack.plan.services if service.name == names.APP)


def _listening(container: containers.Container) -> set[int]:
    """The TCP ports that others can reach it on. Docker's resolver, on loopback, is none of them."""
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in container.inside.file(f"/proc/net/{table}").content_string.splitlines()[1:]:
            address, port = line.split()[1].split(":")
            if line.split()[3] == "0A" and int(address, 16) == 0:
                ports.add(int(port, 16))
    return ports
