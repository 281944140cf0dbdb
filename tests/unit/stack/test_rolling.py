"""Members are updated one at a time, the primary last; nothing goes on while an invariant does not hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from ops.errors import DeployError
from ops.stack import rolling
from ops.stack.events import Change
from tests.unit.stack.plans import THREE_NODES

_URN = "urn:pulumi:prod::pidea::pidea:platform:Redis$docker:index/service:Service::service-{}"
_CONFIG = "urn:pulumi:prod::pidea::pidea:platform:Redis$docker:index/serviceConfig:ServiceConfig::config-redis-conf-1"


class Cluster:
    """A cluster whose members are names; it notes what is asked of it, in order."""

    def __init__(self, primary: str, problems: Sequence[list[str]] = ()) -> None:
        self.now = primary
        self.asked: list[str] = []
        self._problems = list(problems)

    def problems(self) -> list[str]:
        return self._problems.pop(0) if self._problems else []

    def primary(self, cluster: str) -> str | None:
        return self.now if cluster == "redis" else None

    def hand_over(self, cluster: str) -> None:
        self.asked.append(f"hand over {cluster}")
        self.now = "redis-2"


def change(name: str, operation: str = "update") -> Change:
    return Change(operation=operation, urn=_URN.format(name), kind="service", name=f"service-{name}", seconds=0.0)


def urn(name: str) -> str:
    return _URN.format(name)


def left_out(urns: Sequence[str]) -> str:
    return "without " + " ".join(one.rpartition("service-")[2] for one in urns)


def test_only_running_members_are_updated_one_by_one() -> None:
    config = Change(operation="create", urn=_CONFIG, kind="service config", name="config-redis-conf-1", seconds=0.0)
    old = Change(operation="delete", urn=_CONFIG + "x", kind="service config", name="config-redis-conf-0", seconds=0.0)
    found = rolling.plan(THREE_NODES, [change("redis-1"), change("app"), change("redis-2", "create"), config, old])
    assert dict(found.members) == {"redis-1": urn("redis-1")}
    assert found.first == (_CONFIG,)
    assert found.later == (urn("app"), urn("redis-2"), _CONFIG + "x")
    assert found.is_needed


def test_nothing_is_rolled_where_everything_is_new() -> None:
    assert not rolling.plan(THREE_NODES, [change("redis-1", "create"), change("app")]).is_needed


def test_what_members_need_comes_first_and_each_primary_is_last_of_its_cluster() -> None:
    members = ["redis-1", "redis-2", "redis-10", "postgres-1", "postgres-2", "etcd-2", "sentinel-3", "other-1"]
    assert rolling.in_order(members, {"redis": "redis-1", "postgres": "postgres-1"}) == [
        "etcd-2",
        "sentinel-3",
        "redis-2",
        "redis-10",
        "redis-1",
        "postgres-2",
        "postgres-1",
        "other-1",
    ]


def test_the_primary_is_handed_over_before_it_is_updated() -> None:
    cluster = Cluster("redis-1")
    work = rolling.Rolling(first=(_CONFIG,), members={name: urn(name) for name in ("redis-1", "redis-2", "redis-3")})
    work = dataclasses.replace(work, later=("app",))
    rolling.update(work, cluster, lambda urns: cluster.asked.append(left_out(urns)), lambda _: None)
    assert cluster.asked == [
        "without redis-1 redis-2 redis-3 app",
        "without redis-1 redis-3 app",
        "without redis-1 app",
        "hand over redis",
        "without app",
    ]


def test_a_failover_between_two_updates_changes_the_order() -> None:
    cluster = Cluster("redis-1")
    runs: list[str] = []

    def up(urns: Sequence[str]) -> None:
        runs.append(left_out(urns))
        cluster.now = "redis-3"

    work = rolling.Rolling(first=(), members={name: urn(name) for name in ("redis-1", "redis-2", "redis-3")})
    rolling.update(work, cluster, up, lambda _: None)
    assert runs == ["without redis-1 redis-3", "without redis-3", "without "]


def test_nothing_is_updated_while_an_invariant_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "_POLL_SECONDS", 0.0)
    cluster = Cluster("redis-1", [["redis has no primary"]] * 3)
    runs: list[str] = []
    work = rolling.Rolling(first=(), members={"redis-2": urn("redis-2")})
    rolling.update(work, cluster, lambda urns: runs.append(left_out(urns)), lambda _: None)
    assert runs == ["without "], "it waits for what heals by itself"
    broken = Cluster("redis-1", [["redis has no primary"]] * 100_000)
    with pytest.raises(DeployError, match="redis has no primary"):
        rolling.settle(broken, "the update of redis-2", seconds=0.0)
