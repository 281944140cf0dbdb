"""The Prometheus pair, the Alertmanager cluster and the collectors of prod: each sees all, and none is alone."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from infra import names
from tests.prod import asking
from tests.prod.planned import NODES, SERVICES, members
from tests.stack.cluster import Cluster
from tests.stack.endpoints import Endpoints
from tests.stack.prod import Prod
from tests.stack.waiting import wait_for_none, wait_until

PROMETHEUS = members(names.PROMETHEUS)
ALERTMANAGER = members(names.ALERTMANAGER)
# A target must have been found (5 s) and scraped (15 s), a rule evaluated (15 s); twice that, and a slow machine.
SEEN_WITHIN_SECONDS = 120


def prometheus(cluster: Cluster, member: str, path: str) -> Any:
    return asking.http_json(cluster, member, names.PROMETHEUS_PORT, f"/prometheus/api/v1/{path}")["data"]


@pytest.mark.parametrize("name", PROMETHEUS)
def test_each_prometheus_sees_every_target_up(cluster: Cluster, name: str) -> None:
    def down() -> list[str]:
        active = prometheus(cluster, name, "targets?state=active")["activeTargets"]
        return [f"{t['labels']['job']} at {t['scrapeUrl']}: {t['lastError']}" for t in active if t["health"] != "up"]

    wait_for_none(down, f"a target that {name} finds down", timeout_seconds=SEEN_WITHIN_SECONDS)


def test_the_pair_watches_the_same(cluster: Cluster) -> None:
    def jobs(name: str) -> Counter[str]:
        active = prometheus(cluster, name, "targets?state=active")["activeTargets"]
        return Counter(target["labels"]["job"] for target in active)

    first, *others = [jobs(name) for name in PROMETHEUS]
    assert others
    assert all(other == first for other in others)
    assert first[names.APP] == cluster.service(names.APP).spec.replicas
    assert first[names.EDGE] == first["node"] == len(NODES)
    assert first[names.REDIS] >= len(members(names.REDIS))
    assert first[names.PATRONI] == len(members(names.POSTGRES))
    assert first[names.ETCD] == len(members(names.ETCD))
    assert first[names.PROMETHEUS] == len(PROMETHEUS)
    assert first[names.ALERTMANAGER] == len(ALERTMANAGER)


@pytest.mark.parametrize("name", PROMETHEUS)
def test_each_prometheus_has_healthy_rules_and_tells_every_alertmanager(cluster: Cluster, name: str) -> None:
    def amiss() -> list[str]:
        groups = prometheus(cluster, name, "rules")["groups"]
        return [
            f"{rule['name']}: {rule['health']}" for group in groups for rule in group["rules"] if rule["health"] != "ok"
        ]

    wait_for_none(amiss, "a rule that is not healthy", timeout_seconds=SEEN_WITHIN_SECONDS)
    known = prometheus(cluster, name, "alertmanagers")["activeAlertmanagers"]
    assert len(known) == len(ALERTMANAGER)


def test_replicas_tell_themselves_apart(prod: Prod, cluster: Cluster) -> None:
    loaded = [prometheus(cluster, name, "status/config")["yaml"] for name in PROMETHEUS]
    assert len(set(loaded)) == len(PROMETHEUS)
    for name, text in zip(PROMETHEUS, loaded, strict=True):
        assert f"replica: {name}" in text
        assert f"instance_name: {prod.prefix}" in text


@pytest.mark.parametrize("name", ALERTMANAGER)
def test_each_alertmanager_knows_the_others(cluster: Cluster, name: str) -> None:
    def ready() -> bool:
        found = asking.http_json(cluster, name, names.ALERTMANAGER_PORT, "/alertmanager/api/v2/status")["cluster"]
        return found["status"] == "ready" and len(found["peers"]) == len(ALERTMANAGER)

    wait_until(ready, f"{name} is in a cluster of {len(ALERTMANAGER)}", timeout_seconds=60)


@pytest.mark.parametrize(
    ("metric", "servers"),
    [("pg_up", members(names.POSTGRES)), ("redis_up", (*members(names.REDIS), *members(names.SENTINEL)))],
)
def test_every_exporter_is_let_in_by_its_server(cluster: Cluster, metric: str, servers: Sequence[str]) -> None:
    """One whose login is refused is a healthy target, and knows nothing."""

    def let_in() -> bool:
        found = prometheus(cluster, PROMETHEUS[0], f"query?query={metric}")["result"]
        return [one["value"][1] for one in found] == ["1"] * len(servers)

    wait_until(let_in, f"{metric} is 1 for each server", timeout_seconds=SEEN_WITHIN_SECONDS)


def test_nothing_critical_is_complained_of(cluster: Cluster) -> None:
    """A machine that runs all of this at once may well be busy, which is a warning."""

    def firing() -> list[str]:
        return [
            f"{name}: {alert['labels']['alertname']} {alert['labels']}"
            for name in PROMETHEUS
            for alert in prometheus(cluster, name, "alerts")["alerts"]
            if alert["state"] == "firing" and alert["labels"]["severity"] == "critical"
        ]

    wait_for_none(firing, "a critical alert", timeout_seconds=SEEN_WITHIN_SECONDS)


def test_a_trace_goes_through_a_collector_to_jaeger(prod: Prod, cluster: Cluster) -> None:
    assert any(name.startswith("collector") for name in SERVICES)
    endpoints = Endpoints(prod.outputs(), host=cluster.node(NODES[-1]).address)
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    endpoints.write(endpoints.messages(), "follow me", traceparent=f"00-{trace}-{parent}-01")

    def found() -> list[dict[str, Any]]:
        answer = endpoints.get(f"{endpoints.operators}/jaeger/api/traces/{trace}", auth=endpoints.login)
        return list(answer.json()["data"]) if answer.status_code == 200 else []

    spans = wait_until(found, f"Jaeger has trace {trace}")[0]["spans"]
    assert parent in {ref["spanID"] for span in spans for ref in span["references"]}
