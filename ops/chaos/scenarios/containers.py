"""One container ends or stands still; its node stays."""

from __future__ import annotations

from collections.abc import Callable

from infra import names
from ops.chaos.goals import Kind
from ops.chaos.scenario import Scenario
from ops.chaos.stage import Stage

# Longer than every detection: whoever is paused comes back into a world that has moved on.
PAUSED_SECONDS = 15.0
# What has no write path in it must not be felt by those who write.
_UNFELT = {"redis_gap_seconds": 1.0, "postgres_gap_seconds": 1.0}


def _kill(choose: Callable[[Stage], str]) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.kill_container(choose(stage))

    return act


def _pause(choose: Callable[[Stage], str]) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.pause_container(choose(stage))
        stage.hold(PAUSED_SECONDS)

    return act


def _member(service: str) -> Callable[[Stage], str]:
    """The last member, or the service itself where it has none."""

    def choose(stage: Stage) -> str:
        return [*stage.target.members(service)][-1]

    return choose


def _replica(stage: Stage) -> str:
    return stage.other(names.REDIS, stage.redis_primary())


def _standby(stage: Stage) -> str:
    return stage.other(names.POSTGRES, stage.postgres_primary())


def _scenario(
    name: str, summary: str, act: Callable[[Stage], None], limits: dict[str, float] | None = None
) -> Scenario:
    return Scenario(name=name, summary=summary, kind=Kind.KILL, act=act, limits=limits or {}, needs_lab=False)


SCENARIOS = (
    _scenario("kill-redis-primary", "The Redis primary's process is killed", _kill(Stage.redis_primary)),
    _scenario("kill-redis-replica", "A Redis replica is killed", _kill(_replica), _UNFELT),
    _scenario("kill-sentinel", "A sentinel is killed", _kill(_member(names.SENTINEL)), _UNFELT),
    _scenario("kill-postgres-primary", "The PostgreSQL primary is killed", _kill(Stage.postgres_primary)),
    _scenario("kill-postgres-standby", "A PostgreSQL standby is killed", _kill(_standby)),
    _scenario("kill-etcd", "A member of etcd is killed", _kill(_member(names.ETCD)), {"redis_gap_seconds": 1.0}),
    _scenario("kill-app", "A replica of the application is killed", _kill(lambda _: names.APP), _UNFELT),
    _scenario("kill-edge", "An edge is killed", _kill(lambda _: names.EDGE), {**_UNFELT, "failed_any_edge": 0.0}),
    _scenario("kill-prometheus", "A Prometheus is killed", _kill(_member(names.PROMETHEUS)), _UNFELT),
    _scenario("pause-redis-primary", "The Redis primary stands still for 15 s", _pause(Stage.redis_primary)),
    _scenario("pause-postgres-primary", "The PostgreSQL primary stands still for 15 s", _pause(Stage.postgres_primary)),
)
