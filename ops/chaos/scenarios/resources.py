"""Disk, memory, time and agreement run out."""

from __future__ import annotations

from infra import names
from ops.chaos.goals import Kind
from ops.chaos.scenario import Scenario
from ops.chaos.stage import Stage

FULL_SECONDS = 20.0
PRESSURE_SECONDS = 15.0
NO_QUORUM_SECONDS = 20.0


def _full_disk(stage: Stage) -> None:
    stage.fill_disk(stage.node_of(stage.postgres_primary()))
    stage.hold(FULL_SECONDS)


def _memory(stage: Stage) -> None:
    stage.eat_memory(stage.redis_primary(), PRESSURE_SECONDS)


def _etcd(stage: Stage) -> None:
    for member in [*stage.target.members(names.ETCD)][1:]:
        stage.pause_container(member)
    stage.hold(NO_QUORUM_SECONDS)


SCENARIOS = (
    Scenario(
        name="disk-full",
        summary="No space is left for volumes on the PostgreSQL primary's node for 20 s",
        kind=Kind.NODE_LOSS,
        act=_full_disk,
    ),
    Scenario(
        name="memory",
        summary="A process in the Redis primary's container takes all memory that it may have, for 15 s",
        kind=Kind.KILL,
        act=_memory,
        needs_lab=False,
    ),
    Scenario(
        name="etcd-quorum",
        summary="etcd has no majority for 20 s",
        kind=Kind.MORE,
        act=_etcd,
        limits={"redis_gap_seconds": 1.0},
        needs_lab=False,
    ),
    Scenario(
        name="clock",
        summary="A node's clock jumps",
        kind=Kind.MORE,
        unavailable="a lab's nodes share this machine's clock: Linux has namespaces for the monotonic clock only, and "
        "the servers' images have no library that pretends another time",
    ),
)
