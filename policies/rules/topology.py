"""Whether the stack as a whole can do what its environment promises."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from policies.model import Parameters, Problem, Rule, Severity
from policies.rules.resources import replicas
from policies.view import CONFIG, SERVICE, Stack, View, component, config_text

SPEC: Final = ("taskSpec", "containerSpec")
TLS_BIND: Final = re.compile(r"(?m)^\s*bind\s.*\bssl\b.*\bcrt\b")


def _tasks(stack: Stack, *beginnings: str) -> int:
    """Tasks of the services whose component begins so and that are no exporters."""
    found = [
        service
        for service in stack.services
        if component(service).startswith(beginnings) and not component(service).endswith("exporter")
    ]
    return sum(replicas(service, 1) for service in found)


def _odd(what: str, members: int, wanted: int) -> Iterator[Problem]:
    if members < wanted:
        yield Problem(None, f"has {members} {what}, fewer than {wanted}")
    elif members and members % 2 == 0:
        yield Problem(None, f"has {members} {what}: an even number finds no majority when it is cut in half")


def _redis(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    sentinels = _tasks(stack, "sentinel", "redis-sentinel")
    yield from _odd("sentinels", sentinels, parameters.get("sentinels", 0))
    servers = _tasks(stack, "redis") - _tasks(stack, "redis-sentinel")
    if servers < parameters.get("servers", 1):
        yield Problem(None, f"has {servers} Redis servers, fewer than {parameters['servers']}")
    if servers > 1 and not any("min-replicas-to-write" in config_text(config) for config in stack.of(CONFIG)):
        yield Problem(None, "lets a Redis primary that is cut off take writes: min-replicas-to-write is not set")


def _postgres(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    servers = _tasks(stack, "postgres")
    if servers < parameters.get("servers", 1):
        yield Problem(None, f"has {servers} PostgreSQL servers, fewer than {parameters['servers']}")
    yield from _odd("etcd members", _tasks(stack, "etcd"), parameters.get("etcd", 0))


def _spread(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    nodes = int(parameters.get("nodes", 1))
    if nodes == 1:
        return
    for service in stack.services:
        count = replicas(service, nodes)
        most = service.number("taskSpec", "placement", "maxReplicas") or count
        if count > 1 and math.ceil(count / most) < 2:
            yield Problem(service, f"may have all its {count} tasks on one node")


def _data_stays(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    if int(parameters.get("nodes", 1)) == 1:
        return
    for service in stack.services:
        volumes = [m for m in service.each(*SPEC, "mounts") if m.text("type") == "volume"]
        bound = any(
            text.replace(" ", "").startswith(("node.labels.", "node.hostname==", "node.id=="))
            for text in service.texts("taskSpec", "placement", "constraints")
        )
        if volumes and not bound and component(service) not in parameters.get("disposable", ()):
            yield Problem(service, "may move to a node that does not have its volume")


def _edge_tls(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    if not parameters.get("required", True):
        return
    configs = [config for config in stack.of(CONFIG) if "haproxy" in config.name]
    if not any(TLS_BIND.search(config_text(config)) for config in configs):
        yield Problem(None, "takes passwords and chats in the clear: no bind of the edge has a certificate")


def _routed(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    if not parameters.get("required", True):
        return
    receivers = [
        receiver
        for config in stack.of(CONFIG)
        if "alertmanager" in config.name
        for receiver in _mapping(config).get("receivers") or ()
    ]
    if not any(key.endswith("_configs") and value for receiver in receivers for key, value in receiver.items()):
        yield Problem(None, "sends its alerts to nobody")


def _mapping(config: View) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(config_text(config))
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, Mapping) else {}


def _sampled(service: View, parameters: Parameters) -> Iterator[str]:
    ratio = service.pairs(*SPEC, "env").get("TRACE_SAMPLING_RATIO")
    most = parameters.get("max_ratio", 1.0)
    if ratio is not None and float(ratio) > most:
        yield f"traces {float(ratio):.0%} of its requests, more than {most:.0%}"


_NUMBER: Final = {"type": "number", "minimum": 0}
_NODES: Final = {"nodes": {**_NUMBER, "description": "Machines in the swarm."}}
_REQUIRED: Final = {"required": {"type": "boolean", "description": "Whether it must be there."}}
RULES: Final = (
    Rule(
        id="redis-topology",
        title="Redis survives what the environment promises",
        severity=Severity.HIGH,
        description="A majority of the sentinels chooses a new primary; one that is cut off must stop.",
        remediation="Give it replicas, an odd number of sentinels, and min-replicas-to-write.",
        judge_stack=_redis,
        parameters={
            "servers": {**_NUMBER, "description": "Redis servers, the primary too."},
            "sentinels": {**_NUMBER, "description": "Sentinels."},
        },
    ),
    Rule(
        id="postgres-topology",
        title="PostgreSQL survives what the environment promises",
        severity=Severity.HIGH,
        description="The system of record must have a standby to go on with, and a majority that decides on it.",
        remediation="Give it standbys and an odd number of etcd members.",
        judge_stack=_postgres,
        parameters={
            "servers": {**_NUMBER, "description": "PostgreSQL servers, the primary too."},
            "etcd": {**_NUMBER, "description": "Members of etcd."},
        },
    ),
    Rule(
        id="spread-over-nodes",
        title="The tasks of a service are on more than one node",
        severity=Severity.HIGH,
        description="Replicas that sit on one node are lost together.",
        remediation="Set taskSpec.placement.maxReplicas.",
        judge_stack=_spread,
        parameters=_NODES,
    ),
    Rule(
        id="data-stays-with-its-node",
        title="A service with a volume stays where the volume is",
        severity=Severity.HIGH,
        description="Volumes do not move. A database that starts on another node starts empty.",
        remediation="Set taskSpec.placement.constraints to a label of the node, such as node.labels.data==1.",
        judge_stack=_data_stays,
        parameters={
            **_NODES,
            "disposable": {"type": "array", "items": {"type": "string"}, "description": "Components that may lose it."},
        },
    ),
    Rule(
        id="edge-has-tls",
        title="The edge speaks TLS",
        severity=Severity.CRITICAL,
        description="Tokens and chats that travel in the clear can be read by everybody on the way.",
        remediation="Give the edge a certificate: bind … ssl crt ….",
        judge_stack=_edge_tls,
        parameters=_REQUIRED,
    ),
    Rule(
        id="alerts-are-routed",
        title="Alerts reach somebody",
        severity=Severity.HIGH,
        description="An alert that no receiver gets is a line in a page that nobody looks at.",
        remediation="Give a receiver of the Alertmanager a webhook, an address, or the like.",
        judge_stack=_routed,
        parameters=_REQUIRED,
    ),
    Rule(
        id="traces-are-sampled",
        title="No more requests are traced than the environment can keep",
        severity=Severity.LOW,
        description="Each trace costs time, memory and disk.",
        remediation="Lower the sampling ratio.",
        types=(SERVICE,),
        judge=_sampled,
        parameters={"max_ratio": {"type": "number", "minimum": 0, "maximum": 1, "description": "Part of requests."}},
    ),
)
