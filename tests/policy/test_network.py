"""Rules about who can reach whom."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies.environments import PARAMETERS
from policies.model import Rule, Status
from policies.rules.network import RULES
from policies.view import CONTAINER, NETWORK, SERVICE
from tests.policy.fixtures import SOUND, asked, changed, messages, view

BY_ID = {rule.id: rule for rule in RULES}
EDGE_LABELS = [{"label": "dev.pidea.component", "value": "edge"}]
PORT = {"targetPort": 8080, "publishedPort": 3000, "publishMode": "host", "protocol": "tcp"}
NETWORK_LABELS = [{"label": "dev.pidea.component", "value": "data"}]
SOUND_NETWORK = {"name": "data", "internal": True, "options": {"encrypted": ""}, "labels": NETWORK_LABELS}
SOUND_CONTAINER: dict[str, Any] = {"image": "x", "networksAdvanced": [{"name": "pidea-data"}]}


def said(id_: str, props: Any, type_: str = SERVICE, **parameters: Any) -> list[str]:
    """What the rule says; only violations."""
    found = asked(BY_ID[id_], view(props, type=type_), **parameters)
    assert {finding.status for finding in found} <= {Status.VIOLATION}
    return messages(found)


def is_unknown(id_: str, props: Any, path: str, type_: str = SERVICE, **parameters: Any) -> bool:
    """Whether that, and nothing else, cannot be judged."""
    (finding,) = asked(BY_ID[id_], view(props, type=type_), **parameters)
    expected = f"cannot be judged until deployed: {path} is not known yet"
    return (finding.status, finding.message) == (Status.UNKNOWN, expected)


def publishing(*ports: dict[str, Any], labels: Any = EDGE_LABELS) -> dict[str, Any]:
    return changed("endpointSpec.ports", list(ports), base=changed("labels", labels))


def test_there_are_these_rules() -> None:
    assert {rule.id: rule.types for rule in RULES} == {
        "only-edge-publishes": (SERVICE, CONTAINER),
        "no-host-network": (SERVICE, CONTAINER),
        "no-routing-mesh": (SERVICE,),
        "no-virtual-address": (SERVICE,),
        "networks-internal": (NETWORK,),
        "networks-encrypted": (NETWORK,),
        "not-on-default-bridge": (SERVICE, CONTAINER),
    }
    assert {rule.id: rule.severity.value for rule in RULES} == {
        "only-edge-publishes": "critical",
        "no-host-network": "critical",
        "no-routing-mesh": "medium",
        "no-virtual-address": "medium",
        "networks-internal": "high",
        "networks-encrypted": "high",
        "not-on-default-bridge": "high",
    }


def test_parameters_by_environment() -> None:
    assert {rule.id: PARAMETERS[rule.id] for rule in RULES if rule.parameters} == {
        "only-edge-publishes": {"staging": {"allowed": ["edge"]}, "prod": {"allowed": ["edge"]}},
        "networks-internal": {
            "staging": {"not_internal": ["public", "egress"]},
            "prod": {"not_internal": ["public", "egress"]},
        },
        "networks-encrypted": {"staging": {"required": False}, "prod": {"required": True}},
    }
    assert {rule.id: set(rule.parameters) for rule in RULES if rule.parameters} == {
        "only-edge-publishes": {"allowed", "lowest"},
        "networks-internal": {"not_internal"},
        "networks-encrypted": {"required"},
    }
    lowest = BY_ID["only-edge-publishes"].parameters["lowest"]
    assert (lowest["type"], lowest["minimum"], lowest["maximum"]) == ("integer", 1, 65535)


@pytest.mark.parametrize("rule", [rule for rule in RULES if SERVICE in rule.types], ids=lambda rule: rule.id)
def test_a_sound_service_passes(rule: Rule) -> None:
    assert asked(rule, view(SOUND)) == []


@pytest.mark.parametrize("rule", [rule for rule in RULES if CONTAINER in rule.types], ids=lambda rule: rule.id)
def test_a_sound_container_passes(rule: Rule) -> None:
    assert asked(rule, view(SOUND_CONTAINER, type=CONTAINER)) == []


@pytest.mark.parametrize("rule", [rule for rule in RULES if NETWORK in rule.types], ids=lambda rule: rule.id)
def test_a_sound_network_passes(rule: Rule) -> None:
    assert asked(rule, view(SOUND_NETWORK, type=NETWORK)) == []


# only-edge-publishes


def test_the_edge_may_publish() -> None:
    assert said("only-edge-publishes", publishing(PORT), allowed=["edge"]) == []


def test_nobody_else_may_publish() -> None:
    props = publishing(PORT, {**PORT, "publishedPort": 80}, labels=SOUND["labels"])
    assert said("only-edge-publishes", props, allowed=["edge", "door"]) == [
        "publishes port 3000; only door, edge may",
        "publishes port 80; only door, edge may",
    ]
    assert said("only-edge-publishes", publishing(PORT)) == ["publishes port 3000; only nobody may"]


def test_without_a_label_it_is_not_the_edge() -> None:
    expected = ["publishes port 3000; only edge may"]
    assert said("only-edge-publishes", changed("endpointSpec.ports", [PORT]), allowed=["edge"]) == expected
    assert said("only-edge-publishes", publishing(PORT, labels=None), allowed=["edge"]) == expected


@pytest.mark.parametrize(
    ("port", "lowest", "expected"),
    [
        (1024, {}, []),
        (1023, {}, ["publishes port 1023, below 1024"]),
        (1, {}, ["publishes port 1, below 1024"]),
        (443, {"lowest": 443}, []),
        (442, {"lowest": 443}, ["publishes port 442, below 443"]),
    ],
)
def test_ports_below_the_lowest(port: int, lowest: dict[str, Any], expected: list[str]) -> None:
    props = publishing({**PORT, "publishedPort": port})
    assert said("only-edge-publishes", props, allowed=["edge"], **lowest) == expected


@pytest.mark.parametrize("port", [{"targetPort": 6379}, {"targetPort": 6379, "publishedPort": 0}])
def test_a_port_that_docker_chooses_is_published_too(port: dict[str, Any]) -> None:
    assert said("only-edge-publishes", publishing(port), allowed=["edge"]) == []
    assert said("only-edge-publishes", publishing(port), allowed=["door"]) == [
        "publishes its port 6379 on one that Docker chooses; only door may"
    ]


@pytest.mark.parametrize("endpoint", [None, {}, {"ports": None}, {"ports": []}])
def test_nothing_published(endpoint: Any) -> None:
    assert said("only-edge-publishes", {**SOUND, "endpointSpec": endpoint}) == []
    assert said("no-routing-mesh", {**SOUND, "endpointSpec": endpoint}) == []


def test_a_port_that_is_not_known_yet() -> None:
    props = publishing({**PORT, "publishedPort": UNKNOWN_STRING_VALUE})
    path = "endpointSpec.ports[0].publishedPort"
    assert is_unknown("only-edge-publishes", props, path, allowed=["edge"])


def test_containers_publish_too() -> None:
    props = {**SOUND_CONTAINER, "ports": [{"internal": 6379, "external": 6380}, {"internal": 9000}]}
    assert said("only-edge-publishes", props, CONTAINER, allowed=["edge"]) == [
        "publishes port 6380; only edge may",
        "publishes its port 9000 on one that Docker chooses; only edge may",
    ]
    assert said("only-edge-publishes", {**props, "labels": EDGE_LABELS}, CONTAINER, allowed=["edge"]) == []
    assert said("only-edge-publishes", {**SOUND_CONTAINER, "publishAllPorts": True}, CONTAINER) == [
        "publishes every port that its image names"
    ]


# no-host-network

ON_HOST = "is on the machine's own network, where nothing keeps it apart"


@pytest.mark.parametrize("key", ["name", "id"])
def test_a_service_on_the_machines_network(key: str) -> None:
    networks = [{"id": "net-1"}, {key: "host"}]
    assert said("no-host-network", changed("taskSpec.networksAdvanceds", networks)) == [ON_HOST]


def test_the_name_is_judged_although_an_id_is_not_known() -> None:
    networks = [{"id": UNKNOWN_STRING_VALUE}, {"name": "host"}]
    found = asked(BY_ID["no-host-network"], view(changed("taskSpec.networksAdvanceds", networks)))
    assert [(finding.status, finding.message) for finding in found] == [
        (Status.VIOLATION, ON_HOST),
        (
            Status.UNKNOWN,
            "cannot be judged until deployed: taskSpec.networksAdvanceds[0].id is not known yet",
        ),
    ]


def test_a_container_on_the_machines_network() -> None:
    assert said("no-host-network", {**SOUND_CONTAINER, "networkMode": "host"}, CONTAINER) == [ON_HOST]
    assert said("no-host-network", {**SOUND_CONTAINER, "networkMode": "bridge"}, CONTAINER) == []
    assert said("no-host-network", {"networksAdvanced": [{"name": "host"}]}, CONTAINER) == [ON_HOST]
    assert is_unknown("no-host-network", {"networkMode": UNKNOWN_STRING_VALUE}, "networkMode", CONTAINER)


def test_a_services_network_mode_is_nothing_that_there_is() -> None:
    assert said("no-host-network", {**SOUND, "networkMode": "host"}) == []


# no-routing-mesh


def test_host_mode_is_no_routing_mesh() -> None:
    assert said("no-routing-mesh", publishing(PORT)) == []


@pytest.mark.parametrize("mode", ["ingress", None])
def test_the_routing_mesh(mode: str | None) -> None:
    assert said("no-routing-mesh", publishing(PORT, {**PORT, "publishMode": mode})) == [
        "publishes its port 8080 in mode 'ingress', through the routing mesh"
    ]


def test_a_mode_that_is_not_known_yet() -> None:
    props = publishing({**PORT, "publishMode": UNKNOWN_STRING_VALUE})
    assert is_unknown("no-routing-mesh", props, "endpointSpec.ports[0].publishMode")


# networks-internal


@pytest.mark.parametrize("internal", [False, None])
def test_a_network_with_a_way_out(internal: bool | None) -> None:
    props = {**SOUND_NETWORK, "internal": internal}
    expected = ["has a way out of the machine"]
    assert said("networks-internal", props, NETWORK, not_internal=["public"]) == expected
    assert said("networks-internal", props, NETWORK) == expected
    assert said("networks-internal", props, NETWORK, not_internal=["public", "data"]) == []


def test_whether_it_is_internal_is_not_known_yet() -> None:
    props = {**SOUND_NETWORK, "internal": UNKNOWN_STRING_VALUE}
    assert is_unknown("networks-internal", props, "internal", NETWORK)


# networks-encrypted


@pytest.mark.parametrize("options", [None, {}, {"com.docker.network.driver.mtu": "1400"}, {"encrypted": None}])
def test_a_network_in_the_clear(options: Any) -> None:
    props = {**SOUND_NETWORK, "options": options}
    expected = ["carries what its services say from machine to machine in the clear"]
    assert said("networks-encrypted", props, NETWORK, required=True) == expected
    assert said("networks-encrypted", props, NETWORK) == expected
    assert said("networks-encrypted", props, NETWORK, required=False) == []


def test_options_that_are_not_known_yet() -> None:
    props = {**SOUND_NETWORK, "options": UNKNOWN_STRING_VALUE}
    assert is_unknown("networks-encrypted", props, "options", NETWORK)


# not-on-default-bridge


@pytest.mark.parametrize("networks", [None, []])
def test_a_service_on_no_network(networks: Any) -> None:
    props = {**SOUND, "taskSpec": {**SOUND["taskSpec"], "networksAdvanceds": networks}}
    assert said("not-on-default-bridge", props) == ["is on no network of the stack"]


@pytest.mark.parametrize("name", ["bridge", "default", "docker_gwbridge", "ingress"])
def test_a_network_of_dockers_own(name: str) -> None:
    expected = [f"is on Docker's network '{name}', which everything on the machine shares"]
    networks = [{"id": "net-1"}, {"name": name}]
    assert said("not-on-default-bridge", changed("taskSpec.networksAdvanceds", networks)) == expected
    assert said("not-on-default-bridge", {"networksAdvanced": [{"name": name}]}, CONTAINER) == expected
    assert said("not-on-default-bridge", changed("taskSpec.networksAdvanceds", [{"name": "pidea-data"}])) == []


@pytest.mark.parametrize(
    ("mode", "on"),
    [(None, "bridge"), ("", "bridge"), ("bridge", "bridge"), ("default", "default"), ("none", None), ("my", None)],
)
def test_a_container_that_names_no_network(mode: str | None, on: str | None) -> None:
    expected = [f"is on Docker's network '{on}', which everything on the machine shares"] if on else []
    assert said("not-on-default-bridge", {"networkMode": mode}, CONTAINER) == expected


def test_with_a_network_of_its_own_a_containers_mode_does_not_matter() -> None:
    assert said("not-on-default-bridge", {**SOUND_CONTAINER, "networkMode": "bridge"}, CONTAINER) == []


def test_a_network_that_is_known_by_nothing_but_an_id_of_tomorrow() -> None:
    networks = [{"id": UNKNOWN_STRING_VALUE}]
    assert said("not-on-default-bridge", changed("taskSpec.networksAdvanceds", networks)) == []
    networks = [{"name": UNKNOWN_STRING_VALUE}]
    path = "taskSpec.networksAdvanceds[0].name"
    assert is_unknown("not-on-default-bridge", changed("taskSpec.networksAdvanceds", networks), path)


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"mode": "dnsrr"}, []),
        ({"mode": "vip"}, ["is reached in mode 'vip', by a virtual address"]),
        ({}, ["is reached in mode 'vip', by a virtual address"]),
        (None, ["is reached in mode 'vip', by a virtual address"]),
    ],
)
def test_a_virtual_address(spec: Any, found: list[str]) -> None:
    assert messages(asked(BY_ID["no-virtual-address"], view({"endpointSpec": spec}))) == found
