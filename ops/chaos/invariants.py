"""What must hold of a stack that is whole: by the actual roles, as every node's clients see them, and by the swarm."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from infra import names
from infra.plan.shared import on_slot
from infra.spec import ServiceSpec
from ops.chaos import clients
from ops.chaos.records import Sample
from ops.chaos.target import Target
from ops.errors import OpsError
from ops.stack import swarm

# Older than that, a sample says nothing about now.
FRESH_SECONDS = 3.0


def problems(target: Target, latest: Mapping[int, Sample], *, ignore: frozenset[int] = frozenset()) -> list[str]:
    """What does not hold, one line each; empty for a stack that is whole.

    `ignore` are nodes that are gone for good: nothing is asked of them, and of their members.
    """
    found = []
    for node in target.nodes:
        if node.slot in ignore:
            continue
        sample = latest.get(node.slot)
        if sample is None or time.time() - sample.at > FRESH_SECONDS:
            found.append(f"{node.name}: its clients tell nothing")
        else:
            found += [f"{node.name} sees: {line}" for line in of_sample(target, sample, ignore=ignore)]
    return found or services(target, ignore=ignore)


def of_sample(target: Target, sample: Sample, *, ignore: frozenset[int] = frozenset()) -> list[str]:
    """What does not hold of one client's view."""

    def present(service: str) -> set[str]:
        return {name for name in target.members(service) if _slot(name) not in ignore}

    return [
        *_redis(sample, present(names.REDIS), present(names.SENTINEL)),
        *_postgres(sample, present(names.POSTGRES)),
    ]


def services(target: Target, *, ignore: frozenset[int] = frozenset()) -> list[str]:
    """Services with too few tasks or too many; what is bound to an ignored node, or runs on each, may lack it."""
    try:
        with swarm.client(10.0, where=target.manager()) as api:
            running = swarm.services(api, target.instance)
            lost = lost_nodes(api.nodes(), ignore)
    except OpsError as error:
        return [str(error)]
    found = []
    for spec in target.plan.services:
        service = running.get(names.physical(target.instance, spec.name))
        here = 0 if service is None else sum(task.node_id not in lost for task in service.running)
        found += of_service(spec, here, nodes=len(target.nodes), ignore=ignore)
    absent = [slot for slot in clients.missing(target) if slot not in ignore]
    return found + [f"the clients on node {slot} do not run" for slot in absent]


def lost_nodes(listed: Iterable[Mapping[str, Any]], ignore: frozenset[int]) -> set[str]:
    """The ids of ignored nodes, as the swarm lists them: their tasks count there for a while yet."""
    slots = {str(slot) for slot in ignore}
    return {node["ID"] for node in listed if (node["Spec"].get("Labels") or {}).get(names.SLOT_LABEL) in slots}


def of_service(spec: ServiceSpec, here: int, *, nodes: int, ignore: frozenset[int] = frozenset()) -> list[str]:
    """What does not hold of a service of which `here` tasks run, on a swarm of so many nodes."""
    if here > spec.replicas:
        # Two in one place would be two servers on one volume.
        return [f"{spec.name}: {here} tasks run, {spec.replicas} wanted"]
    if any(spec.placement == on_slot(slot) for slot in ignore):
        return []
    everywhere = spec.replicas == nodes and spec.placement.max_replicas_per_node == 1
    wanted = spec.replicas - (len(ignore) if everywhere else 0)
    return [f"{spec.name}: {here} of {wanted} tasks run"] if here < wanted else []


def _redis(sample: Sample, servers: set[str], sentinels: set[str]) -> list[str]:
    primaries = sample.redis_primaries()
    if len(primaries) != 1:
        return [f"{len(primaries)} Redis primaries ({', '.join(primaries) or 'none'})"]
    (primary,) = primaries
    found = [f"{name} does not answer" for name in sorted(servers - set(sample.redis))]
    if len(servers) > 1 and not sample.redis[primary].get("writable"):
        found.append(f"{primary} takes no writes")
    for name, seen in sorted(sample.redis.items()):
        if name != primary and (seen.get("of") != primary or seen.get("link") != "up"):
            found.append(f"{name} follows {seen.get('of') or 'nobody'}, link {seen.get('link') or 'down'}")
    for name in sorted(sentinels):
        if sample.sentinels.get(name) != primary:
            found.append(f"{name} names {sample.sentinels.get(name, 'nobody')}, the primary is {primary}")
    return found


def _postgres(sample: Sample, servers: set[str]) -> list[str]:
    primaries = sample.postgres_primaries()
    if len(primaries) != 1:
        return [f"{len(primaries)} PostgreSQL primaries ({', '.join(primaries) or 'none'})"]
    found = [f"{name} does not answer" for name in sorted(servers - set(sample.postgres))]
    if len(servers) < 2:
        return found
    # A member that is gone for good stays on Patroni's list for a while.
    told = {name: member for name, member in sample.patroni.items() if name in servers}
    leaders = [name for name, member in told.items() if member.get("role") == "leader"]
    if leaders != primaries:
        found.append(f"Patroni's leader is {', '.join(leaders) or 'nobody'}, the primary is {primaries[0]}")
    if not any(member.get("role") == "sync_standby" for member in told.values()):
        found.append("Patroni has no synchronous standby")
    found += [
        f"{name} is {member.get('role', 'nothing')}, {member.get('state', 'nothing')}"
        for name, member in sorted(told.items())
        if member.get("state") not in {"running", "streaming"}
    ]
    return found + [f"Patroni does not know {name}" for name in sorted(servers - set(told))]


def _slot(member: str) -> int:
    """The node's number at the end of a member's name; 0 for what has none."""
    last = member.rpartition("-")[2]
    return int(last) if last.isdigit() else 0
