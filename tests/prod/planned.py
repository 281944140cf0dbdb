"""What the prod stack shall have, from the plan, to parametrise tests with before anything is up."""

from __future__ import annotations

from typing import Final

from ops.lab.reference import node_name
from ops.stack import settings
from ops.stack.reference import resolve
from ops.stack.rolling import cluster_of

PLAN: Final = settings.plan_of(resolve("prod"))
SERVICES: Final = [service.name for service in PLAN.services]
NODES: Final = [node_name(slot) for slot in range(1, PLAN.nodes + 1)]


def members(cluster: str) -> list[str]:
    """The services that are numbered members of a cluster: `redis` → `redis-1`, `redis-2`, …"""
    return [name for name in SERVICES if name != cluster and cluster_of(name) == cluster]
