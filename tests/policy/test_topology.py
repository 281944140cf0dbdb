"""What an environment promises to survive."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from pulumi_policy.proxy import UNKNOWN_NUMBER_VALUE, UNKNOWN_STRING_VALUE

from policies import environments
from policies.model import Finding, Severity, Status
from policies.rules.topology import RULES
from policies.view import CONFIG, NETWORK, SERVICE, View
from tests.policy.fixtures import asked, asked_of_stack, changed, messages, view

BY_ID = {rule.id: rule for rule in RULES}
ENV = "taskSpec.containerSpec.env"
CUT_OFF = "lets a Redis primary that is cut off take writes: min-replicas-to-write is not set"
CLEAR = "takes passwords and chats in the clear: no bind of the edge has a certificate"
NOBODY = "sends its alerts to nobody"


SPREAD: Mapping[str, Any] = {"maxReplicas": 1, "constraints": ["node.labels.data==1"]}


def service(component: str, count: int = 1, **given: Any) -> View:
    """A service of that many tasks; other properties by their path, with `__` for the dot."""
    props = changed("mode", {"replicated": {"replicas": count}})
    props["labels"] = [{"label": "dev.pidea.component", "value": component}]
    for path, value in given.items():
        props = changed(path.replace("__", "."), value, props)
    return view(props, name=f"service-{component}")


def placed(component: str, count: int = 1) -> View:
    """One that shares no node with another of its kind."""
    return service(component, count, taskSpec__placement=SPREAD)


def config(name: str, text: str) -> View:
    return view({"data": base64.b64encode(text.encode()).decode()}, type=CONFIG, name=f"config-{name}-0123456789ab")


def found(rule: str, *resources: View, **parameters: Any) -> list[str]:
    return messages(asked_of_stack(BY_ID[rule], resources, **parameters))


def unknown(findings: list[Finding], path: str, resource: str = "") -> None:
    assert [(item.status, item.message, item.resource) for item in findings] == [
        (Status.UNKNOWN, f"cannot be judged until deployed: {path} is not known yet", resource)
    ]


@pytest.mark.parametrize(
    ("rule", "severity", "parameters"),
    [
        ("redis-topology", Severity.HIGH, {"nodes", "servers", "sentinels"}),
        ("postgres-topology", Severity.HIGH, {"nodes", "servers", "etcd"}),
        ("spread-over-nodes", Severity.HIGH, {"nodes"}),
        ("data-stays-with-its-node", Severity.HIGH, {"nodes", "disposable"}),
        ("edge-has-tls", Severity.CRITICAL, {"required"}),
        ("alerts-are-routed", Severity.HIGH, {"required"}),
        ("traces-are-sampled", Severity.LOW, {"max_ratio"}),
    ],
)
def test_what_a_rule_is(rule: str, severity: Severity, parameters: set[str]) -> None:
    assert BY_ID[rule].severity is severity
    assert set(BY_ID[rule].parameters) == parameters


def test_there_is_no_other_rule() -> None:
    assert len(RULES) == 7


# redis-topology

SAFE = config("redis-conf", "port 6379\nmin-replicas-to-write 1\n")
HIGHLY_AVAILABLE: Mapping[str, Any] = {"servers": 3, "sentinels": 3}


def test_one_redis_is_enough_where_nothing_is_promised() -> None:
    assert found("redis-topology", placed("redis")) == []
    assert found("redis-topology", placed("redis"), servers=1, sentinels=0) == []


def test_a_redis_that_can_fail_over_passes() -> None:
    stack = [placed("redis", 3), placed("redis-sentinel", 3), SAFE]
    assert found("redis-topology", *stack, **HIGHLY_AVAILABLE) == []
    apart = [placed("redis"), placed("redis-replica", 2), placed("sentinel", 3), SAFE]
    assert found("redis-topology", *apart, **HIGHLY_AVAILABLE) == []


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_servers(count: int) -> None:
    stack = [placed("redis", count), placed("redis-sentinel", 3), SAFE]
    assert found("redis-topology", *stack, **HIGHLY_AVAILABLE) == [f"has {count} Redis servers, fewer than 3"]


def test_without_parameters_one_server_must_be_there() -> None:
    assert messages(asked_of_stack(BY_ID["redis-topology"], [placed("redis")])) == []
    assert found("redis-topology", servers=1) == ["has 0 Redis servers, fewer than 1"]


@pytest.mark.parametrize(
    ("sentinels", "expected"),
    [
        (2, "has 2 sentinels, fewer than 3"),
        (3, None),
        (4, "has 4 sentinels: an even number finds no majority when it is cut in half"),
        (5, None),
    ],
)
def test_sentinels_must_be_enough_and_odd(sentinels: int, expected: str | None) -> None:
    stack = [placed("redis", 3), placed("redis-sentinel", sentinels), SAFE]
    assert found("redis-topology", *stack, **HIGHLY_AVAILABLE) == ([expected] if expected else [])


def test_sentinels_that_nobody_asked_for_must_be_odd_too() -> None:
    even = "has 2 sentinels: an even number finds no majority when it is cut in half"
    assert found("redis-topology", placed("redis"), placed("sentinel", 2)) == [even]
    assert found("redis-topology", placed("redis"), placed("sentinel", 1)) == []


def test_exporters_are_neither_servers_nor_sentinels() -> None:
    stack = [placed("redis", 2), service("redis-exporter", 5), service("redis-sentinel-exporter", 5), SAFE]
    assert found("redis-topology", *stack, **HIGHLY_AVAILABLE) == [
        "has 0 sentinels, fewer than 3",
        "has 2 Redis servers, fewer than 3",
    ]


@pytest.mark.parametrize(("count", "expected"), [(1, []), (2, [CUT_OFF])])
def test_a_primary_with_replicas_must_stop_when_it_is_cut_off(count: int, expected: list[str]) -> None:
    plain = config("redis-conf", "port 6379\n")
    assert found("redis-topology", placed("redis", count), plain) == expected
    assert found("redis-topology", placed("redis", count)) == expected


def test_one_of_several_configs_may_say_it() -> None:
    stack = [placed("redis", 2), config("postgresql-conf", "port = 5432"), SAFE]
    assert found("redis-topology", *stack) == []


def test_a_config_that_is_not_known_hides_nothing_before_it() -> None:
    config_ = view({"data": UNKNOWN_STRING_VALUE}, type=CONFIG, name="config-redis-conf")
    first, second, third = asked_of_stack(
        BY_ID["redis-topology"], [placed("redis", 2), config_], servers=3, sentinels=1
    )
    assert messages([first, second]) == ["has 0 sentinels, fewer than 1", "has 2 Redis servers, fewer than 3"]
    unknown([third], "data")


@pytest.mark.parametrize(
    "line",
    ["# min-replicas-to-write 1", "min-replicas-to-write 0", "min-replicas-to-write", "x-min-replicas-to-write 1"],
)
def test_only_a_number_above_0_stops_a_primary(line: str) -> None:
    stack = [placed("redis", 2), config("redis-conf", f"port 6379\n{line}\n")]
    assert found("redis-topology", *stack) == [CUT_OFF]


@pytest.mark.parametrize(
    ("component", "count", "placement", "alone"),
    [
        ("redis-sentinel", 3, {"maxReplicas": 1}, True),
        ("redis-sentinel", 3, {"maxReplicas": 2}, False),
        ("redis-sentinel", 3, {}, False),
        ("redis-replica", 1, {"constraints": ["node.hostname == b"]}, True),
        ("redis-replica", 1, {"constraints": ["node.hostname != b"]}, False),
        ("redis-replica", 1, {"maxReplicas": 1}, False),
    ],
)
def test_members_of_redis_are_apart(component: str, count: int, placement: Any, alone: bool) -> None:
    stack = [placed("redis", 2), service(component, count, taskSpec__placement=placement), SAFE]
    findings = asked_of_stack(BY_ID["redis-topology"], stack)
    assert messages(findings) == ([] if alone else ["may be on one node with another member of Redis' cluster"])
    assert [finding.resource for finding in findings] == ([] if alone else [f"service-{component}"])


def test_global_members_are_apart_and_counted_for_each_node() -> None:
    stack = [service(what, mode={"global": True}) for what in ("redis", "redis-sentinel")]
    assert found("redis-topology", *stack, SAFE, nodes=3, **HIGHLY_AVAILABLE) == []


def test_a_backup_is_no_server() -> None:
    stack = [placed("redis", 2), service("redis-backup"), placed("sentinel", 3), SAFE]
    assert found("redis-topology", *stack, **HIGHLY_AVAILABLE) == ["has 2 Redis servers, fewer than 3"]


@pytest.mark.parametrize(
    ("quorum", "sentinels", "majority"), [(1, 3, False), (2, 3, True), (2, 5, False), (3, 5, True), (3, 3, True)]
)
def test_a_majority_of_sentinels_decides(quorum: int, sentinels: int, majority: bool) -> None:
    text = f"port 26379\nsentinel monitor pidea redis 6379 {quorum}\n"
    stack = [placed("redis", 3), placed("sentinel", sentinels), SAFE, config("sentinel-conf", text)]
    said = [] if majority else [f"lets {quorum} of {sentinels} sentinels decide, which is no majority"]
    findings = asked_of_stack(BY_ID["redis-topology"], stack, servers=3, sentinels=3)
    assert messages(findings) == said
    assert [finding.resource for finding in findings] == ([] if majority else ["config-sentinel-conf-0123456789ab"])


# postgres-topology

THREE: Mapping[str, Any] = {"servers": 3, "etcd": 3}


def test_one_postgres_is_enough_where_nothing_is_promised() -> None:
    assert found("postgres-topology", service("postgres")) == []
    assert found("postgres-topology", service("postgres"), servers=1, etcd=0) == []
    assert found("postgres-topology", servers=1) == ["has 0 PostgreSQL servers, fewer than 1"]


@pytest.mark.parametrize(
    ("servers", "etcd", "expected"),
    [
        (3, 3, []),
        (4, 5, []),
        (2, 3, ["has 2 PostgreSQL servers, fewer than 3"]),
        (3, 2, ["has 2 etcd members, fewer than 3"]),
        (3, 4, ["has 4 etcd members: an even number finds no majority when it is cut in half"]),
        (1, 0, ["has 1 PostgreSQL servers, fewer than 3", "has 0 etcd members, fewer than 3"]),
    ],
)
def test_members_of_postgres_and_etcd(servers: int, etcd: int, expected: list[str]) -> None:
    stack = [service("postgres", servers), service("etcd", etcd)]
    assert found("postgres-topology", *stack, **THREE) == expected


def test_members_may_be_services_of_their_own() -> None:
    stack = [service(f"{what}-{n}") for what in ("postgres", "etcd") for n in (1, 2, 3)]
    assert found("postgres-topology", *stack, **THREE) == []


def test_patroni_is_postgres_and_a_backup_is_not() -> None:
    assert found("postgres-topology", service("patroni", 3), service("etcd", 3), **THREE) == []
    stack = [service("postgres", 2), service("postgres-backup"), service("etcd", 3)]
    assert found("postgres-topology", *stack, **THREE) == ["has 2 PostgreSQL servers, fewer than 3"]


def test_a_global_service_has_a_member_on_each_node() -> None:
    stack = [service(what, mode={"global": True}) for what in ("postgres", "etcd")]
    assert found("postgres-topology", *stack, nodes=3, **THREE) == []


def test_the_exporter_is_no_member() -> None:
    stack = [service("postgres", 2), service("postgres-exporter"), service("etcd", 3)]
    assert found("postgres-topology", *stack, **THREE) == ["has 2 PostgreSQL servers, fewer than 3"]


def test_members_that_are_not_known() -> None:
    stack = [service("postgres", mode__replicated__replicas=UNKNOWN_NUMBER_VALUE)]
    unknown(asked_of_stack(BY_ID["postgres-topology"], stack, **THREE), "mode.replicated.replicas")


# spread-over-nodes


@pytest.mark.parametrize(
    ("count", "most", "alone"),
    [
        (1, None, False),
        (2, None, True),
        (2, 0, True),
        (2, 1, False),
        (2, 2, True),
        (3, 1, False),
        (3, 2, False),
        (3, 3, True),
        (3, 4, True),
        (1, 1, False),
    ],
)
def test_tasks_must_not_all_fit_on_one_node(count: int, most: int | None, alone: bool) -> None:
    placement = {} if most is None else {"maxReplicas": most}
    findings = asked_of_stack(
        BY_ID["spread-over-nodes"], [service("app", count, taskSpec__placement=placement)], nodes=3
    )
    assert messages(findings) == ([f"may have all its {count} tasks on one node"] if alone else [])
    assert [finding.resource for finding in findings] == (["service-app"] if alone else [])


def test_on_one_node_nothing_can_be_spread() -> None:
    assert found("spread-over-nodes", service("app", 2), nodes=1) == []
    assert found("spread-over-nodes", service("app", 2)) == []
    assert found("spread-over-nodes", service("app", 2), nodes=2) == ["may have all its 2 tasks on one node"]


def test_a_global_service_is_spread() -> None:
    assert found("spread-over-nodes", service("agent", mode={"global": True}), nodes=3) == []


def test_every_service_is_looked_at() -> None:
    assert len(found("spread-over-nodes", service("a", 2), service("b"), service("c", 2), nodes=3)) == 2


def test_a_placement_that_is_not_known() -> None:
    stack = [service("app", 2, taskSpec__placement={"maxReplicas": UNKNOWN_NUMBER_VALUE})]
    unknown(asked_of_stack(BY_ID["spread-over-nodes"], stack, nodes=3), "taskSpec.placement.maxReplicas")


# data-stays-with-its-node


@pytest.mark.parametrize(
    ("constraints", "bound"),
    [
        (["node.labels.data==1"], True),
        (["node.labels.data == 1"], True),
        (["node.hostname==a"], True),
        (["node.hostname == a"], True),
        (["node.id==abc"], True),
        (["node.role==worker", "node.labels.data==1"], True),
        (["node.labels.data!=1"], False),
        (["node.labels.data != 1"], False),
        (["node.hostname!=a"], False),
        (["node.id != abc"], False),
        (["node.role==manager"], False),
        (["engine.labels.data==1"], False),
        ([], False),
        (None, False),
    ],
)
def test_what_binds_a_service_to_its_volume(constraints: list[str] | None, bound: bool) -> None:
    stack = [service("redis", taskSpec__placement={"constraints": constraints})]
    findings = asked_of_stack(BY_ID["data-stays-with-its-node"], stack, nodes=3)
    assert messages(findings) == ([] if bound else ["may move to a node that does not have its volume"])
    assert [finding.resource for finding in findings] == ([] if bound else ["service-redis"])


@pytest.mark.parametrize("nodes", [{"nodes": 1}, {}])
def test_on_one_node_everything_stays(nodes: Mapping[str, int]) -> None:
    assert found("data-stays-with-its-node", service("redis"), **nodes) == []


def test_two_nodes_are_enough_to_move() -> None:
    assert found("data-stays-with-its-node", service("redis"), nodes=2) != []


@pytest.mark.parametrize(
    "mounts", [None, [], [{"type": "tmpfs", "target": "/tmp"}, {"type": "bind", "target": "/proc"}]]
)
def test_what_has_no_volume_may_move(mounts: Any) -> None:
    assert found("data-stays-with-its-node", service("edge", taskSpec__containerSpec__mounts=mounts), nodes=3) == []


def test_what_may_be_lost_may_move() -> None:
    stack = [service("app"), service("redis")]
    findings = asked_of_stack(BY_ID["data-stays-with-its-node"], stack, nodes=3, disposable=["app"])
    assert [finding.resource for finding in findings] == ["service-redis"]


def test_the_name_of_the_volume_need_not_be_known() -> None:
    stack = [service("redis", taskSpec__containerSpec__mounts=[{"type": "volume", "source": UNKNOWN_STRING_VALUE}])]
    assert found("data-stays-with-its-node", *stack, nodes=3) == ["may move to a node that does not have its volume"]


def test_constraints_that_are_not_known() -> None:
    stack = [service("redis", taskSpec__placement={"constraints": UNKNOWN_STRING_VALUE})]
    unknown(asked_of_stack(BY_ID["data-stays-with-its-node"], stack, nodes=3), "taskSpec.placement.constraints")


# edge-has-tls

EDGE = service("edge", 3, endpointSpec={"ports": [{"targetPort": 8080, "publishedPort": 443, "publishMode": "host"}]})


@pytest.mark.parametrize(
    ("line", "sound"),
    [
        ("  bind :8080 ssl crt /run/secrets/edge.pem", True),
        ("bind :8080 ssl crt /run/secrets/edge.pem", True),
        ("  bind\t:8080 v4v6 ssl crt /run/secrets/edge.pem alpn h2", True),
        ("  bind :8080", False),
        ("  bind :8080 # ssl crt /x", False),
        ("  bind :8080\n  bind :8081 ssl crt /x", False),
        ("  bind :8081 ssl crt /x", False),
        ("  bind :8080 ssl crt /x\n  bind :8081", True),
        ("  bind :8080 ssl crt /x\n  bind [::]:8080", False),
        ("  bind :8080 ssl", False),
        ("  bind :8080 crt /run/secrets/edge.pem", False),
        ("  # bind :8080 ssl crt /run/secrets/edge.pem", False),
        ("  bind :8080\n  ssl crt /run/secrets/edge.pem", False),
        ("  bindings :8080 ssl crt /run/secrets/edge.pem", False),
        ("  bind :8080 nossl crt /run/secrets/edge.pem", False),
    ],
)
def test_the_edge_has_a_certificate(line: str, sound: bool) -> None:
    stack = [EDGE, config("haproxy-cfg", f"frontend public\n{line}\n  default_backend app\n")]
    assert found("edge-has-tls", *stack, required=True) == ([] if sound else [CLEAR])


def test_another_config_does_not_count() -> None:
    text = "bind :8080 ssl crt /x"
    assert found("edge-has-tls", EDGE, config("redis-conf", text), required=True) == [CLEAR]
    assert found("edge-has-tls", EDGE, required=True) == [CLEAR]


def test_tls_is_required_unless_told_otherwise() -> None:
    assert found("edge-has-tls", EDGE) == [CLEAR]
    assert found("edge-has-tls", EDGE, required=False) == []


def test_an_edge_config_that_is_not_known_or_not_readable() -> None:
    hidden = view({"data": UNKNOWN_STRING_VALUE}, type=CONFIG, name="config-haproxy-cfg")
    unknown(asked_of_stack(BY_ID["edge-has-tls"], [EDGE, hidden]), "data")
    broken = view({"data": "%"}, type=CONFIG, name="config-haproxy-cfg")
    assert found("edge-has-tls", EDGE, broken) == ["cannot be read: data is not base64 of a text"]


# alerts-are-routed


def alerts(receivers: str) -> View:
    return config("alertmanager-yml", f"route:\n  receiver: operators\nreceivers:\n{receivers}")


@pytest.mark.parametrize(
    ("receivers", "sound"),
    [
        ("  - name: operators\n    webhook_configs: [{url: 'https://example.org/'}]", True),
        ("  - name: operators\n    email_configs:\n      - to: a@example.org", True),
        ("  - name: operators", False),
        ("  - name: operators\n    webhook_configs: []", False),
        ("  - name: operators\n    webhook_configs:", False),
        ("  - name: operators\n    webhooks: [{url: 'https://example.org/'}]", False),
        ("", False),
    ],
)
def test_a_receiver_reaches_somebody(receivers: str, sound: bool) -> None:
    assert found("alerts-are-routed", alerts(receivers), required=True) == ([] if sound else [NOBODY])


@pytest.mark.parametrize(
    "text",
    [
        *("", "route: {", "- a list", "receivers:", "receivers: [a]", "receivers: 3"),
        *("route: {receiver: o}\nreceivers: [a]", "route: {receiver: o}\nreceivers: 3"),
        "receivers: [{name: o, webhook_configs: [{url: x}]}]",
        "route: {receiver: none}\nreceivers: [{name: none}, {name: o, webhook_configs: [{url: x}]}]",
        "route: []\nreceivers: [{name: o, webhook_configs: [{url: x}]}]",
    ],
)
def test_a_config_without_receivers_reaches_nobody(text: str) -> None:
    assert found("alerts-are-routed", config("alertmanager-yml", text)) == [NOBODY]


def test_alerts_must_be_routed_unless_told_otherwise() -> None:
    assert found("alerts-are-routed") == [NOBODY]
    assert found("alerts-are-routed", required=False) == []


def test_the_receivers_of_something_else_do_not_count() -> None:
    text = "route: {receiver: o}\nreceivers: [{name: o, webhook_configs: [{url: x}]}]"
    assert found("alerts-are-routed", config("jaeger-yaml", text)) == [NOBODY]
    assert found("alerts-are-routed", view({}, type=NETWORK, name="network-alertmanager")) == [NOBODY]


def test_a_config_of_alerts_that_is_not_known() -> None:
    hidden = view({"data": UNKNOWN_STRING_VALUE}, type=CONFIG, name="config-alertmanager-yml")
    unknown(asked_of_stack(BY_ID["alerts-are-routed"], [hidden]), "data")


# traces-are-sampled


def sampled(value: Any, **parameters: Any) -> list[str]:
    env = {"TRACE_SAMPLING_RATIO": value}
    return messages(asked(BY_ID["traces-are-sampled"], service("app", taskSpec__containerSpec__env=env), **parameters))


@pytest.mark.parametrize(
    ("ratio", "most", "expected"),
    [
        ("0", 0.25, []),
        ("0.25", 0.25, []),
        ("0.26", 0.25, ["traces 26% of its requests, more than 25%"]),
        ("1.0", 0.25, ["traces 100% of its requests, more than 25%"]),
        ("1.0", 1.0, []),
        ("0.1", 0, ["traces 10% of its requests, more than 0%"]),
    ],
)
def test_the_share_of_requests_is_bounded(ratio: str, most: float, expected: list[str]) -> None:
    assert sampled(ratio, max_ratio=most) == expected


def test_without_a_parameter_everything_may_be_traced() -> None:
    assert sampled("1.0") == []
    assert sampled("1.5") == ["traces 150% of its requests, more than 100%"]


@pytest.mark.parametrize("ratio", ["x", "nan", ""])
def test_a_ratio_that_nobody_understands_does_not_pass(ratio: str) -> None:
    assert sampled(ratio) == [f"cannot be read: {ENV}.TRACE_SAMPLING_RATIO is not a number"]


def test_another_variable_that_is_not_known_does_not_matter() -> None:
    env = {"A": UNKNOWN_STRING_VALUE, "TRACE_SAMPLING_RATIO": "1.0"}
    traced = service("app", taskSpec__containerSpec__env=env)
    assert messages(asked(BY_ID["traces-are-sampled"], traced, max_ratio=0.25)) == [
        "traces 100% of its requests, more than 25%"
    ]


@pytest.mark.parametrize("env", [None, {}, {"LOG_LEVEL": "info"}])
def test_what_does_not_trace_passes(env: Any) -> None:
    traced = service("redis", taskSpec__containerSpec__env=env)
    assert asked(BY_ID["traces-are-sampled"], traced, max_ratio=0) == []


def test_only_services_are_asked() -> None:
    assert BY_ID["traces-are-sampled"].types == (SERVICE,)


def test_a_ratio_that_is_not_known() -> None:
    traced = service("app", taskSpec__containerSpec__env={"TRACE_SAMPLING_RATIO": UNKNOWN_STRING_VALUE})
    unknown(asked(BY_ID["traces-are-sampled"], traced), f"{ENV}.TRACE_SAMPLING_RATIO", "service-app")


# The environments


@pytest.mark.parametrize(
    ("rule", "staging", "prod"),
    [
        (
            "redis-topology",
            {"nodes": 1, "servers": 1, "sentinels": 0},
            {"nodes": 3, "servers": 3, "sentinels": 3},
        ),
        ("postgres-topology", {"nodes": 1, "servers": 1, "etcd": 0}, {"nodes": 3, "servers": 3, "etcd": 3}),
        ("spread-over-nodes", {"nodes": 1}, {"nodes": 3}),
        ("data-stays-with-its-node", {"nodes": 1}, {"nodes": 3, "disposable": ["app"]}),
        ("edge-has-tls", {"required": False}, {"required": True}),
        ("alerts-are-routed", {"required": False}, {"required": True}),
        ("traces-are-sampled", {"max_ratio": 1.0}, {"max_ratio": 0.25}),
    ],
)
def test_what_an_environment_promises(rule: str, staging: Mapping[str, Any], prod: Mapping[str, Any]) -> None:
    assert environments.parameters(BY_ID[rule], "staging") == staging
    assert environments.parameters(BY_ID[rule], "prod") == prod


CLUSTERS = [("redis-topology", "redis"), ("postgres-topology", "postgres")]


def members(name: str, *slots: int) -> list[View]:
    """Services of one task each, as prod has them: `redis-1`, bound to the node of its slot."""
    return [
        service(f"{name}-{number}", taskSpec__placement={"constraints": [f"node.labels.slot == {slot}"]})
        for number, slot in enumerate(slots, start=1)
    ]


@pytest.mark.parametrize(("rule", "name"), CLUSTERS)
def test_exporters_of_members_are_no_members(rule: str, name: str) -> None:
    some = [*members(name, 1, 2), *members(f"{name}-exporter", 1, 2, 3)]
    what = {"redis": "Redis", "postgres": "PostgreSQL"}[name]
    expected = [f"has 2 {what} servers, fewer than 3"]
    assert [text for text in found(rule, *some, servers=3) if "servers" in text] == expected


@pytest.mark.parametrize(("rule", "name"), CLUSTERS)
def test_members_on_the_same_node_are_lost_together(rule: str, name: str) -> None:
    text = f"is bound to the same node as service-{name}-1"
    findings = asked_of_stack(BY_ID[rule], members(name, 1, 2, 1), servers=3)
    assert [item.resource for item in findings if item.message == text] == [f"service-{name}-3"]
    assert text not in found(rule, *members(name, 1, 2, 3), servers=3)


def test_members_of_different_clusters_share_nodes() -> None:
    redis = [*members("redis", 1, 2, 3), *members("sentinel", 1, 2, 3)]
    assert found("redis-topology", *redis, servers=3, sentinels=3) == [CUT_OFF]
    postgres = [*members("postgres", 1, 2, 3), *members("etcd", 1, 2, 3)]
    assert found("postgres-topology", *postgres, servers=3, etcd=3) == []
    crowded = [*members("postgres", 1, 2, 3), *members("etcd", 2, 2, 3)]
    assert found("postgres-topology", *crowded, servers=3, etcd=3) == [
        "is bound to the same node as service-etcd-1",
    ]


def test_a_single_server_may_be_with_anything() -> None:
    assert found("postgres-topology", *members("postgres", 1), *members("etcd", 1, 1, 1), etcd=3) == []
