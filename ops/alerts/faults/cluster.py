"""Faults of a cluster on a lab: a member, a majority, a machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infra import names
from ops.alerts.fault import Fault, Kind
from ops.alerts.faults.acts import paused, stopped
from ops.alerts.scene import Scene

_LAB = frozenset({Kind.LAB})
# Neither the witness nor the first Prometheus is there.
_LAST_SLOT = 3


@contextlib.contextmanager
def _replica_cut_off(scene: Scene) -> Iterator[None]:
    with scene.witness.hold("cut-off", scene.redis_replica()):
        yield


@contextlib.contextmanager
def _one_edge_paused(scene: Scene) -> Iterator[None]:
    # Of the others nobody notices anything: it is not the service that is gone.
    with scene.paused(names.EDGE, slot=_LAST_SLOT):
        yield


@contextlib.contextmanager
def _standbys_stopped(scene: Scene) -> Iterator[None]:
    primary = scene.postgres_primary()
    with scene.stopped(*(member for member in scene.target.members(names.POSTGRES) if member != primary)):
        yield


@contextlib.contextmanager
def _redis_stopped(scene: Scene) -> Iterator[None]:
    with scene.stopped(*scene.target.members(names.REDIS)):
        yield


@contextlib.contextmanager
def _node_killed(scene: Scene) -> Iterator[None]:
    with scene.stage as stage:
        stage.kill_node(scene.target.node(_LAST_SLOT))
        yield


REPLICA_CUT_OFF = Fault(
    name="redis-replica-cut-off",
    summary="A Redis replica cannot log in to its primary",
    alerts=("PideaRedisReplicaCutOff",),
    act=_replica_cut_off,
    kinds=_LAB,
)
SENTINEL_MISSING = Fault(
    name="sentinel-stopped",
    summary="A sentinel does not run, for over three minutes",
    alerts=("PideaSentinelMissing",),
    act=stopped(names.member(names.SENTINEL, _LAST_SLOT)),
    kinds=_LAB,
    patience_seconds=360.0,
)
MEMBERS_MISSING = Fault(
    name="dashboards-paused",
    summary="The dashboards stand still, for over three minutes",
    alerts=("PideaTargetDown", "PideaMembersMissing"),
    labels={"service": names.DASHBOARDS},
    act=paused(names.DASHBOARDS),
    kinds=_LAB,
    patience_seconds=360.0,
)
EDGE_WITHOUT_TLS = Fault(
    name="edge-paused",
    summary="One of the edges stands still",
    alerts=("PideaEdgeWithoutTls",),
    act=_one_edge_paused,
    kinds=_LAB,
    patience_seconds=300.0,
)
NO_STANDBY = Fault(
    name="postgres-standbys-stopped",
    summary="None of PostgreSQL's standbys runs",
    alerts=("PideaPostgresNoSynchronousStandby",),
    act=_standbys_stopped,
    kinds=_LAB,
)
NO_REDIS_PRIMARY = Fault(
    name="redis-servers-stopped",
    summary="No server of Redis runs",
    alerts=("PideaRedisPrimariesWrong",),
    act=_redis_stopped,
    kinds=_LAB,
)
NO_MAJORITY = Fault(
    name="etcd-without-majority",
    summary="Two of three members of etcd stand still",
    alerts=("PideaEtcdNoLeader", "PideaPostgresFailsafe"),
    act=paused(names.member(names.ETCD, 2), names.member(names.ETCD, _LAST_SLOT)),
    kinds=_LAB,
)
NODE_DOWN = Fault(
    name="node-killed",
    summary="A machine loses power",
    alerts=("PideaNodeDown",),
    act=_node_killed,
    kinds=_LAB,
)
