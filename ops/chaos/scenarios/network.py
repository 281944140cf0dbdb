"""The network between the nodes fails; the nodes stay."""

from __future__ import annotations

from collections.abc import Callable

from ops.chaos.goals import Kind
from ops.chaos.scenario import Scenario
from ops.chaos.stage import Stage

CUT_SECONDS = 20.0
LOSSY_SECONDS = 20.0
LOSS_PERCENT = 5.0
SLOW_KBIT = 20_000


def _cut(primary: Callable[[Stage], str], *, one_way: bool = False) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.partition(stage.node_of(primary(stage)), one_way=one_way)
        stage.hold(CUT_SECONDS)

    return act


def _cut_leader(stage: Stage) -> None:
    stage.partition(stage.leader())
    stage.hold(CUT_SECONDS)


def _lossy(stage: Stage) -> None:
    stage.slow(stage.node_of(stage.redis_primary()), loss_percent=LOSS_PERCENT)
    stage.hold(LOSSY_SECONDS)


def _slow(stage: Stage) -> None:
    stage.slow(stage.node_of(stage.postgres_primary()), rate_kbit=SLOW_KBIT)
    stage.hold(LOSSY_SECONDS)


SCENARIOS = (
    Scenario(
        name="partition-redis-primary",
        summary="The Redis primary's node is cut off from all others for 20 s",
        kind=Kind.PARTITION,
        act=_cut(Stage.redis_primary),
    ),
    Scenario(
        name="partition-postgres-primary",
        summary="The PostgreSQL primary's node is cut off from all others for 20 s",
        kind=Kind.PARTITION,
        act=_cut(Stage.postgres_primary),
    ),
    Scenario(
        name="partition-swarm-leader",
        summary="The swarm's leader is cut off from all others for 20 s",
        kind=Kind.PARTITION,
        act=_cut_leader,
    ),
    Scenario(
        name="partition-one-way",
        summary="What the Redis primary's node sends is lost for 20 s, what it is sent arrives",
        kind=Kind.PARTITION,
        act=_cut(Stage.redis_primary, one_way=True),
    ),
    Scenario(
        name="lossy",
        summary="The Redis primary's node loses 5 % of its packets each way for 20 s",
        kind=Kind.KILL,
        act=_lossy,
    ),
    Scenario(
        name="slow",
        summary="The PostgreSQL primary's node sends at most 20 Mbit/s for 20 s",
        kind=Kind.KILL,
        act=_slow,
    ),
)
