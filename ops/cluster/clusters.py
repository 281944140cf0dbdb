"""All clusters of a stack: their problems, primaries and hand-overs, asked of the members wherever they run."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

from infra import names
from infra.spec import DeploymentPlan
from ops import console
from ops.cluster import postgres, redis, redis_hand_over
from ops.cluster.members import Members
from ops.stack import target
from ops.stack.reference import Stack


@dataclasses.dataclass(frozen=True)
class StackClusters:
    """The clusters that the plan of `stack` asks for; none where each server stands alone.

    The manager is asked for anew each time: a failure between two questions may have made another node the manager.
    """

    stack: Stack
    plan: DeploymentPlan

    def problems(self) -> list[str]:
        """What of the invariants does not hold, one line each, of all clusters."""
        layout, servers = redis.layout(self.plan), self._postgres_servers
        with ThreadPoolExecutor(2) as pool:
            of_redis = pool.submit(redis.problems, layout, self._members.run) if layout else None
            of_postgres = pool.submit(postgres.look_at_all, self._members.run, servers) if servers else None
        return [
            *(of_redis.result() if of_redis else []),
            *(postgres.problems(of_postgres.result()) if of_postgres else []),
        ]

    def primary(self, cluster: str) -> str | None:
        """The member that is the primary by its own role; None where the cluster has no such role, or not one."""
        layout = redis.layout(self.plan)
        if cluster == names.REDIS and layout:
            return redis.primary(layout, self._members.run)
        if cluster == names.POSTGRES and self._postgres_servers:
            found = postgres.primary_of(postgres.look_at_all(self._members.run, self._postgres_servers))
            return found.name if found else None
        return None

    def hand_over(self, cluster: str) -> None:
        """Makes another member the primary, without losing an acknowledged write. Raises DeployError."""
        layout = redis.layout(self.plan)
        if cluster == names.REDIS and layout:
            redis_hand_over.hand_over(layout, self._members.run)
        elif cluster == names.POSTGRES and self._postgres_servers:
            postgres.hand_over(self._members.run, self._postgres_servers, say=lambda line: console.say(f"  {line}"))

    @property
    def _members(self) -> Members:
        return Members(
            self.plan.instance,
            target.endpoint_of(self.stack),
            lambda node: target.engine_of(self.stack, node),
        )

    @property
    def _postgres_servers(self) -> tuple[str, ...]:
        return postgres.servers(self.plan)
