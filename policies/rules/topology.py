"""Whether the stack as a whole can do what its environment promises."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from policies.model import Parameters, Problem, Rule, Severity
from policies.rules.resources import replicas
from policies.view import CONFIG, SERVICE, Malformed, Stack, View, component, config_text, parsed_yaml

SPEC: Final = ("taskSpec", "containerSpec")
# Anything but a comment between the words.
BIND: Final = re.compile(r"(?m)^[ \t]*bind[ \t]+\S*:(\d+)(?=[ \t]|$)([^#\n]*)")
TLS: Final = re.compile(r"\bssl\b.*\bcrt\b")
STOPS_WHEN_CUT_OFF: Final = re.compile(r"(?m)^[ \t]*min-replicas-to-write[ \t]+[1-9]\d*[ \t]*$")
MONITORED: Final = re.compile(r"(?m)^[ \t]*sentinel[ \t]+monitor[ \t]+\S+[ \t]+\S+[ \t]+\S+[ \t]+(\d+)")
# No members, whatever they begin with.
OTHERS: Final = ("exporter", "backup")


def _members(stack: Stack, *beginnings: str) -> list[View]:
    """The services whose component begins so and that are neither exporters nor backups."""
    return [
        service
        for service in stack.services
        if component(service).startswith(beginnings) and not _cluster(service).endswith(OTHERS)
    ]


def _cluster(service: View) -> str:
    """What a member belongs to: `redis-exporter-2` to `redis-exporter`."""
    return re.sub(r"-\d+$", "", component(service))


def _tasks(stack: Stack, parameters: Parameters, *beginnings: str) -> int:
    return sum(replicas(service, int(parameters.get("nodes", 1))) for service in _members(stack, *beginnings))


def _together(service: View) -> bool:
    """Whether one node can have more than one of its tasks; a service of one task must be bound to a node instead."""
    if service.flag("mode", "global"):
        return False
    if replicas(service, 1) > 1:
        return service.number("taskSpec", "placement", "maxReplicas") != 1
    return not _bound(service)


def _bound(service: View) -> bool:
    return bool(_places(service))


def _places(service: View) -> frozenset[str]:
    """The constraints that bind it to a node."""
    texts = (text.replace(" ", "") for text in service.texts("taskSpec", "placement", "constraints"))
    return frozenset(text for text in texts if re.fullmatch(r"node\.(labels\.\S+?|hostname|id)==\S+", text))


def _crowded(members: list[View]) -> Iterator[Problem]:
    """Members of one cluster that the same constraints bind to the same node."""
    first: dict[tuple[str, frozenset[str]], View] = {}
    for member in members:
        places = _places(member)
        other = first.setdefault((_cluster(member), places), member)
        if places and other is not member:
            yield Problem(member, f"is bound to the same node as {other.name}")


def _odd(what: str, members: int, wanted: int) -> Iterator[Problem]:
    if members < wanted:
        yield Problem(None, f"has {members} {what}, fewer than {wanted}")
    elif members and members % 2 == 0:
        yield Problem(None, f"has {members} {what}: an even number finds no majority when it is cut in half")


def _redis(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    sentinels = _tasks(stack, parameters, "sentinel", "redis-sentinel")
    yield from _odd("sentinels", sentinels, parameters.get("sentinels", 0))
    servers = _tasks(stack, parameters, "redis") - _tasks(stack, parameters, "redis-sentinel")
    if servers < (wanted := parameters.get("servers", 1)):
        yield Problem(None, f"has {servers} Redis servers, fewer than {wanted}")
    for service in _members(stack, "redis", "sentinel"):
        if servers > 1 and _together(service):
            yield Problem(service, "may be on one node with another member of Redis' cluster")
    if servers > 1:
        yield from _crowded(_members(stack, "redis", "sentinel"))
    yield from (problem for config in stack.of(CONFIG) for problem in _quorum(config, sentinels))
    if servers > 1 and not any(STOPS_WHEN_CUT_OFF.search(config_text(config)) for config in stack.of(CONFIG)):
        yield Problem(None, "lets a Redis primary that is cut off take writes: min-replicas-to-write is not set")


def _quorum(config: View, sentinels: int) -> Iterator[Problem]:
    for quorum in MONITORED.findall(config_text(config)):
        if int(quorum) * 2 <= sentinels:
            yield Problem(config, f"lets {quorum} of {sentinels} sentinels decide, which is no majority")


def _postgres(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    servers = _tasks(stack, parameters, "postgres", "patroni")
    if servers < (wanted := parameters.get("servers", 1)):
        yield Problem(None, f"has {servers} PostgreSQL servers, fewer than {wanted}")
    yield from _odd("etcd members", _tasks(stack, parameters, "etcd"), parameters.get("etcd", 0))
    if servers > 1:
        yield from _crowded(_members(stack, "postgres", "patroni", "etcd"))


def _spread(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    nodes = int(parameters.get("nodes", 1))
    if nodes == 1:
        return
    for service in stack.services:
        if service.flag("mode", "global"):
            continue  # one on each node is what it means
        count = replicas(service, nodes)
        most = service.number("taskSpec", "placement", "maxReplicas") or count
        if count > 1 and math.ceil(count / most) < 2:
            yield Problem(service, f"may have all its {count} tasks on one node")


def _data_stays(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    if int(parameters.get("nodes", 1)) == 1:
        return
    for service in stack.services:
        volumes = [m for m in service.each(*SPEC, "mounts") if m.text("type") == "volume"]
        if volumes and not _bound(service) and component(service) not in parameters.get("disposable", ()):
            yield Problem(service, "may move to a node that does not have its volume")


def _edge_tls(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    if not parameters.get("required", True):
        return
    published = {
        f"{port.number('targetPort'):g}"
        for service in stack.services
        if component(service) == "edge"
        for port in service.each("endpointSpec", "ports")
    }
    configs = [config for config in stack.of(CONFIG) if "haproxy" in config.name]
    binds = [bind for config in configs for bind in BIND.findall(config_text(config))]
    ports = {port for port, options in binds if TLS.search(options)}
    clear = {port for port, options in binds if not TLS.search(options)}
    if not published <= ports - clear or not ports:
        yield Problem(None, "takes passwords and chats in the clear: no bind of the edge has a certificate")


def _routed(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    if not parameters.get("required", True):
        return
    if not any(_reaches(_mapping(config)) for config in stack.of(CONFIG) if "alertmanager" in config.name):
        yield Problem(None, "sends its alerts to nobody")


def _reaches(content: Mapping[str, Any]) -> bool:
    """Whether the receiver that gets what no other route takes has somebody to tell."""
    route, receivers = content.get("route"), content.get("receivers")
    if not isinstance(route, Mapping) or not isinstance(receivers, list):
        return False
    return any(
        str(key).endswith("_configs") and value
        for receiver in receivers
        if isinstance(receiver, Mapping) and receiver.get("name") == route.get("receiver")
        for key, value in receiver.items()
    )


def _mapping(config: View) -> Mapping[str, Any]:
    try:
        content = parsed_yaml(config_text(config))
    except (yaml.YAMLError, ValueError):
        return {}
    return content if isinstance(content, Mapping) else {}


def _sampled(service: View, parameters: Parameters) -> Iterator[str]:
    # By its own path: another variable that is not known yet is not our concern.
    ratio, most = service.number(*SPEC, "env", "TRACE_SAMPLING_RATIO"), parameters.get("max_ratio", 1.0)
    if math.isnan(ratio):
        raise Malformed("taskSpec.containerSpec.env.TRACE_SAMPLING_RATIO is not a number")
    if ratio > most:
        yield f"traces {ratio:.0%} of its requests, more than {most:.0%}"


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
            **_NODES,
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
            **_NODES,
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
