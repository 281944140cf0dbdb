"""Whole machines go."""

from __future__ import annotations

from collections.abc import Callable

from ops.chaos.goals import Kind
from ops.chaos.scenario import Scenario
from ops.chaos.stage import Stage
from ops.chaos.target import Node

# Longer than the promised write gaps: the stack must work without the node, not because it came back.
AWAY_SECONDS = 20.0
ALL_AWAY_SECONDS = 5.0


def _redis_node(stage: Stage) -> Node:
    return stage.node_of(stage.redis_primary())


def _postgres_node(stage: Stage) -> Node:
    return stage.node_of(stage.postgres_primary())


def _kill(choose: Callable[[Stage], Node]) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.kill_node(choose(stage))
        stage.hold(AWAY_SECONDS)

    return act


def _pause(stage: Stage) -> None:
    stage.pause_node(_redis_node(stage))
    stage.hold(AWAY_SECONDS)


def _stop(stage: Stage) -> None:
    stage.stop_node(_redis_node(stage))
    stage.hold(AWAY_SECONDS)


def _lose(stage: Stage) -> None:
    stage.kill_node(_postgres_node(stage), comes_back=False)
    stage.hold(AWAY_SECONDS)


def _lose_all(stage: Stage) -> None:
    for node in stage.target.nodes:
        stage.kill_node(node)
    stage.hold(ALL_AWAY_SECONDS)


SCENARIOS = (
    Scenario(
        name="node-redis-primary",
        summary="The node with the Redis primary loses power for 20 s",
        kind=Kind.NODE_LOSS,
        act=_kill(_redis_node),
    ),
    Scenario(
        name="node-postgres-primary",
        summary="The node with the PostgreSQL primary loses power for 20 s",
        kind=Kind.NODE_LOSS,
        act=_kill(_postgres_node),
    ),
    Scenario(
        name="node-swarm-leader",
        summary="The swarm's leader loses power for 20 s",
        kind=Kind.NODE_LOSS,
        act=_kill(Stage.leader),
    ),
    Scenario(
        name="node-stop",
        summary="The node with the Redis primary is shut down in order, and is back after 20 s",
        kind=Kind.NODE_LOSS,
        act=_stop,
    ),
    Scenario(
        name="node-pause",
        summary="The node with the Redis primary stands still for 20 s",
        kind=Kind.NODE_LOSS,
        act=_pause,
    ),
    Scenario(
        name="node-lost",
        summary="The node with the PostgreSQL primary loses power and does not come back",
        kind=Kind.NODE_LOSS,
        act=_lose,
    ),
    Scenario(
        name="all-nodes",
        summary="Every node loses power for 5 s",
        kind=Kind.MORE,
        act=_lose_all,
    ),
)
