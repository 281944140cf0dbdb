"""Updates of a cluster's members: one at a time, replicas first, the primary last and only after it was handed over.

Swarm does not serialise separate services, and Pulumi updates them side by side. So the members that a deployment
changes are updated by runs of Pulumi that leave the others out, with the clusters' invariants checked between them.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from infra import names
from infra.spec import DeploymentPlan
from ops.errors import DeployError
from ops.stack.events import Change

# What a member needs comes before it: etcd before Patroni, sentinels before the servers that ask them.
ORDER: Final = (names.ETCD, names.SENTINEL, names.REDIS, names.POSTGRES, names.ALERTMANAGER, names.PROMETHEUS)
_CHANGING: Final = frozenset({"update", "replace", "create-replacement", "delete-replaced"})
_MEMBER: Final = re.compile(r"(?P<cluster>[a-z-]+)-(?P<slot>[1-9]\d*)")
SERVICE: Final = "docker:index/service:Service"
_SETTLE_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 1.0


class Clusters(Protocol):
    """What is asked of the clusters between two updates."""

    def problems(self) -> list[str]:
        """What of the invariants does not hold, one line each."""

    def primary(self, cluster: str) -> str | None:
        """The member that is the cluster's primary by its actual role; None where the cluster has no such role."""

    def hand_over(self, cluster: str) -> None:
        """Makes another member the primary, without losing an acknowledged write. Raises DeployError."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rolling:
    """`first` are the URNs of what members use, new; `members` maps a member to its service's URN, in no order.

    `later` are those of whatever else changes: it waits until the members are updated, above all what is deleted.
    """

    first: tuple[str, ...]
    members: Mapping[str, str]
    later: tuple[str, ...] = ()

    @property
    def is_needed(self) -> bool:
        """False where no running member changes: everything can go at once."""
        return bool(self.members)


def plan(deployment: DeploymentPlan, changes: Sequence[Change]) -> Rolling:
    """What of a preview's `changes` is to be done member by member."""
    bound = {service.name for service in deployment.services if service.placement.constraints}
    members: dict[str, str] = {}
    first: dict[str, None] = {}
    later: dict[str, None] = {}
    for change in changes:
        is_service = f"::{SERVICE}::" in change.urn or f"${SERVICE}::" in change.urn
        name = change.name.removeprefix("service-")
        if is_service:
            if name in bound and _MEMBER.fullmatch(name) and change.operation in _CHANGING:
                members[name] = change.urn
                continue
        elif not change.operation.startswith("delete"):
            first[change.urn] = None
            continue
        later[change.urn] = None
    return Rolling(first=tuple(first), members=members, later=tuple(urn for urn in later if urn not in first))


def cluster_of(member: str) -> str:
    """`redis-2` → `redis`."""
    found = _MEMBER.fullmatch(member)
    return found["cluster"] if found else member


def in_order(members: Sequence[str], primaries: Mapping[str, str | None]) -> list[str]:
    """The members cluster by cluster, each cluster's primary last, else by their nodes' numbers."""

    def key(member: str) -> tuple[int, str, bool, int]:
        cluster = cluster_of(member)
        place = ORDER.index(cluster) if cluster in ORDER else len(ORDER)
        return place, cluster, primaries.get(cluster) == member, int(member.rpartition("-")[2])

    return sorted(members, key=key)


def update(
    rolling: Rolling, clusters: Clusters, up: Callable[[Sequence[str]], None], say: Callable[[str], None]
) -> None:
    """Updates the members with `up`, which runs Pulumi without the URNs that it is given and raises DeployError.

    Stops before a member where the invariants do not hold within two minutes: what is degraded stays as it is.
    """
    left = dict(rolling.members)
    if rolling.first:
        up([*left.values(), *rolling.later])
    while left:
        # Asked anew for each: a failure between two updates may have chosen another primary.
        primaries = {cluster: clusters.primary(cluster) for cluster in {cluster_of(member) for member in left}}
        member = in_order(list(left), primaries)[0]
        settle(clusters, f"the update of {member}")
        cluster = cluster_of(member)
        if clusters.primary(cluster) == member:
            say(f"handing {cluster} over from {member}")
            clusters.hand_over(cluster)
            settle(clusters, f"the update of {member}")
        del left[member]
        up([*left.values(), *rolling.later])
    settle(clusters, "the rest of the deployment")


def settle(clusters: Clusters, before: str, *, seconds: float = _SETTLE_SECONDS) -> None:
    """Waits until the invariants hold. Raises DeployError with those that still do not after `seconds`."""
    deadline = time.monotonic() + seconds
    while found := clusters.problems():
        if time.monotonic() > deadline:
            raise DeployError(
                "\n".join([f"Stopped before {before}, {seconds:.0f} s after the last change:", *found])
                + "\nRepair that, then run the same command again: it goes on with the members that are left."
            )
        time.sleep(_POLL_SECONDS)
