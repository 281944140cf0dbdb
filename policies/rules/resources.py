"""What services may use, and whether it all fits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from policies.model import Parameters, Problem, Rule, Severity
from policies.view import SERVICE, Malformed, Stack, View

MIB: Final = 1024 * 1024
LIMITS: Final = ("taskSpec", "resources", "limits")
RESERVATION: Final = ("taskSpec", "resources", "reservation")
LOG: Final = ("taskSpec", "logDriver")
BOUNDED_DRIVERS: Final = ("json-file", "local")
_UNITS: Final = {"": 1, "k": 1024, "m": MIB, "g": 1024 * MIB}


def _limits_set(service: View, _: Parameters) -> Iterator[str]:
    if service.number(*LIMITS, "memoryBytes") <= 0:
        yield "may use all memory of the machine"
    if service.number(*LIMITS, "nanoCpus") <= 0:
        yield "may use all processors of the machine"


def _reserves(service: View, _: Parameters) -> Iterator[str]:
    reserved, limit = service.number(*RESERVATION, "memoryBytes"), service.number(*LIMITS, "memoryBytes")
    if reserved <= 0:
        yield "reserves no memory, so that Swarm puts it where there is none"
    elif 0 < limit < reserved:
        yield f"reserves {reserved / MIB:g} MiB, more than its limit of {limit / MIB:g} MiB"


def _size_bytes(text: str) -> float:
    found = re.fullmatch(r"(\d+)([kmg]?)b?", text.lower())
    if not found:
        raise Malformed(f"taskSpec.logDriver.options.max-size: {text!r} is not a size such as 10m")
    return int(found[1]) * _UNITS[found[2]]


def _count(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise Malformed(f"taskSpec.logDriver.options.max-file: {text!r} is not a number")
    return int(text)


def _logs_bounded(service: View, parameters: Parameters) -> Iterator[str]:
    driver = service.text(*LOG, "name")
    if driver in parameters.get("remote_drivers", ()):
        return
    if driver not in BOUNDED_DRIVERS:
        yield f"logs with {driver or 'the default driver'}, which nothing bounds"
        return
    options = service.pairs(*LOG, "options")
    missing = [name for name in ("max-size", "max-file") if name not in options]
    if missing:
        # The drivers' defaults differ: json-file has no size, local has five files.
        yield f"does not say how much of its logs is kept: {' and '.join(missing)} not set"
        return
    kept_mib = _size_bytes(options["max-size"]) * _count(options["max-file"]) / MIB
    if kept_mib <= 0:
        yield "has a log of size 0, which Docker refuses"
    if kept_mib > parameters.get("max_mib", 100):
        yield f"keeps {kept_mib:g} MiB of logs for each task"


def _tmpfs_bounded(service: View, _: Parameters) -> Iterator[str]:
    for mount in service.each("taskSpec", "containerSpec", "mounts"):
        if mount.text("type") == "tmpfs" and mount.number("tmpfsOptions", "sizeBytes") <= 0:
            yield f"has memory without a limit at {mount.text('target')}"


def replicas(service: View, nodes: int) -> int:
    """How many tasks it has: a task for each node where it is global or has at most one on each."""
    if service.flag("mode", "global"):
        return nodes
    return int(service.number("mode", "replicated", "replicas", default=1))


def _needed(stack: Stack, key: str, nodes: int, left: int) -> float:
    """What must be reserved when `left` of the nodes are there: what runs once a node is not moved to another one."""
    total = 0.0
    for service in stack.services:
        tasks = replicas(service, nodes)
        if service.flag("mode", "global") or service.number("taskSpec", "placement", "maxReplicas") == 1:
            tasks = min(tasks, left)
        total += tasks * service.number(*RESERVATION, key)
    return total


def _fits(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    nodes = int(parameters.get("nodes", 1))
    left = max(1, nodes - 1)
    when = f"on {left} of {nodes} nodes" if nodes > 1 else "on its node"
    memory_mib = left * (parameters.get("node_memory_mib", 8192) - parameters.get("system_memory_mib", 1024))
    needed_mib = _needed(stack, "memoryBytes", nodes, left) / MIB
    if needed_mib > memory_mib:
        yield Problem(None, f"reserves {needed_mib:,.0f} MiB, and {when} there are {memory_mib:,.0f} MiB")
    processors = left * parameters.get("node_cpus", 2)
    needed = _needed(stack, "nanoCpus", nodes, left) / 1e9
    if needed > processors:
        yield Problem(None, f"reserves {needed:g} processors, and {when} there are {processors:g}")


def _budget(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    nodes = int(parameters.get("nodes", 1))
    services = len(stack.services)
    if services > (most := parameters.get("max_services", 40)):
        yield Problem(None, f"has {services} services, more than {most}")
    limits = [replicas(service, nodes) * service.number(*LIMITS, "memoryBytes") for service in stack.services]
    limits_mib = sum(limits) / MIB
    if limits_mib > (most := parameters.get("max_memory_mib", 32768)):
        yield Problem(None, f"may use {limits_mib:,.0f} MiB, more than {most:,}")
    cost = nodes * parameters.get("node_price_per_month", 0)
    if cost > parameters.get("max_cost_per_month", math.inf):
        yield Problem(None, f"costs about {cost:,.0f} a month, more than {parameters['max_cost_per_month']:,}")


_NUMBER: Final = {"type": "number", "minimum": 0}
_NODES: Final = {"nodes": {**_NUMBER, "description": "Machines in the swarm."}}
RULES: Final = (
    Rule(
        id="limits-set",
        title="Every service has limits of memory and processors",
        severity=Severity.HIGH,
        description="Without limits one service that leaks takes its neighbours with it.",
        remediation="Set taskSpec.resources.limits.memoryBytes and nanoCpus.",
        references=("CIS Docker 1.6: 5.11", "CIS Docker 1.6: 5.12"),
        types=(SERVICE,),
        judge=_limits_set,
    ),
    Rule(
        id="reserves-memory",
        title="Every service reserves the memory that it needs",
        severity=Severity.MEDIUM,
        description="Swarm places tasks by what is reserved, not by what is used.",
        remediation="Set taskSpec.resources.reservation.memoryBytes, not above the limit.",
        types=(SERVICE,),
        judge=_reserves,
    ),
    Rule(
        id="logs-bounded",
        title="Logs cannot fill the disk",
        severity=Severity.MEDIUM,
        description="Docker keeps logs for ever unless it is told not to.",
        remediation="Set taskSpec.logDriver to json-file with max-size and max-file.",
        types=(SERVICE,),
        judge=_logs_bounded,
        parameters={
            "max_mib": {**_NUMBER, "description": "Of each task."},
            "remote_drivers": {"type": "array", "items": {"type": "string"}, "description": "Drivers that keep none."},
        },
    ),
    Rule(
        id="tmpfs-bounded",
        title="Memory that is used as a folder has a size",
        severity=Severity.LOW,
        description="A tmpfs without a size may grow to half of the machine's memory.",
        remediation="Set tmpfsOptions.sizeBytes.",
        types=(SERVICE,),
        judge=_tmpfs_bounded,
    ),
    Rule(
        id="fits-with-one-node-lost",
        title="What is reserved fits, also when one node is lost",
        severity=Severity.HIGH,
        description="What does not fit on the nodes that are left stays away until the lost one is back.",
        remediation="Reserve less, add a node, or correct the nodes' size in policies/environments.py.",
        judge_stack=_fits,
        parameters={
            **_NODES,
            "node_memory_mib": {**_NUMBER, "description": "Memory of a machine."},
            "system_memory_mib": {**_NUMBER, "description": "What a machine needs for itself."},
            "node_cpus": {**_NUMBER, "description": "Processors of a machine."},
        },
    ),
    Rule(
        id="within-budget",
        title="The stack stays within its budget",
        severity=Severity.LOW,
        description="Services, memory and machines grow one by one; the budget makes somebody decide.",
        remediation="Remove something, or raise the budget in policies/environments.py.",
        judge_stack=_budget,
        parameters={
            **_NODES,
            "max_services": {**_NUMBER, "description": "Services."},
            "max_memory_mib": {**_NUMBER, "description": "Sum of the limits of all tasks."},
            "node_price_per_month": {**_NUMBER, "description": "Of one machine."},
            "max_cost_per_month": {**_NUMBER, "description": "Of all machines."},
        },
    ),
)
