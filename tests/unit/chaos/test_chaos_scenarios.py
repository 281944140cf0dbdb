"""What there is to break, who may break it, and that it is always healed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from ops.chaos import invariants, permission, scenarios
from ops.chaos.records import Sample
from ops.chaos.scenarios import sequences
from ops.chaos.stage import Stage
from ops.errors import DeployError, HostError, UsageError
from ops.stack import settings
from ops.stack.reference import Stack, resolve
from tests.unit.chaos.observed import sample

LAB = Stack(environment="prod", instance="lab", lab="lab")
PROD = Stack(environment="prod")


class FakeTarget(SimpleNamespace):
    """The members of the prod plan; no node is asked for anything."""

    def members(self, service: str) -> dict[str, str]:
        return {f"{service}-{slot}": f"pidea-prod-{service}-{slot}" for slot in (1, 2, 3)}


def stage(latest: Mapping[int, Sample] | None = None) -> Stage:
    found = {1: sample(0)} if latest is None else latest
    return Stage(FakeTarget(lab=None), lambda: found)  # type: ignore[arg-type]


def never(_: str) -> str:
    raise AssertionError("nobody was to be asked")


def test_names_are_unique_and_every_scenario_is_judged_or_says_why_not() -> None:
    names = [scenario.name for scenario in scenarios.ALL]
    assert len(set(names)) == len(names)
    for scenario in scenarios.ALL:
        assert scenario.unavailable or scenario.asked["lost_messages"] == 0
    assert set(scenarios.SHORT) <= set(names)


def test_what_is_not_there_or_not_available_is_refused() -> None:
    with pytest.raises(UsageError, match="no scenario 'x'"):
        scenarios.by_name("x")
    with pytest.raises(UsageError, match="not available"):
        scenarios.by_name("clock")


def test_the_same_seed_draws_the_same() -> None:
    assert scenarios.by_name("random", 7).summary == scenarios.by_name("random", 7).summary
    assert len({scenarios.by_name("random", seed).summary for seed in range(5)}) > 1


def test_a_lab_may_be_broken_without_a_question() -> None:
    permission.check(LAB, scenarios.suite(short=True), None, never)


def test_what_breaks_nodes_is_refused_off_a_lab() -> None:
    with pytest.raises(UsageError, match="node-redis-primary, partition-redis-primary"):
        permission.check(PROD, scenarios.suite(short=True), "prod", never)


def test_another_stack_wants_its_name_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [scenarios.by_name("kill-app")]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    with pytest.raises(UsageError, match="--confirm prod"):
        permission.check(PROD, chosen, None, never)
    with pytest.raises(UsageError, match="nothing was touched"):
        permission.check(PROD, chosen, "staging", never)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UsageError, match="nothing was touched"):
        permission.check(PROD, chosen, None, lambda _: "yes")
    permission.check(PROD, chosen, None, lambda _: "prod")
    permission.check(PROD, chosen, "prod", never)


def test_everything_is_healed_the_last_first_whatever_happens() -> None:
    healed: list[str] = []

    def interrupted() -> None:
        with stage() as made:
            made.on_heal(lambda: healed.append("first"))
            made.on_heal(lambda: healed.append("second"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert healed == ["second", "first"]


def test_one_that_cannot_be_healed_does_not_keep_the_others() -> None:
    healed: list[str] = []

    def fail() -> None:
        raise HostError("gone")

    made = stage()
    made.on_heal(lambda: healed.append("first"))
    made.on_heal(fail)
    with pytest.raises(HostError):
        made.heal()
    assert healed == ["first"]


def test_a_fault_lasts_from_the_first_effect_to_the_begin_of_its_healing() -> None:
    with stage() as made:
        made.done("one", at=5.0, slots=(2,))
        made.done("two", at=7.0, slots=(3,))
    fault = made.fault(None)
    assert (fault.begin, fault.slots, fault.what) == (5.0, (2, 3), "one; two")
    assert fault.end > fault.begin


def test_a_node_is_taken_when_it_is_and_not_with_the_fault_before() -> None:
    with stage() as made:
        made.done("a container killed", at=5.0)
        made.done("one", at=7.0, slots=(2,))
        made.done("two", at=9.0, slots=(3,))
    fault = made.fault(None)
    assert (fault.begin, fault.taken) == (5.0, 7.0)


def test_a_scenario_that_did_nothing_is_an_error() -> None:
    with stage() as made:
        pass
    with pytest.raises(DeployError, match="did nothing"):
        made.fault(None)


def test_roles_are_the_actual_ones() -> None:
    made = stage()
    assert (made.redis_primary(), made.postgres_primary()) == ("redis-1", "postgres-1")
    assert made.other("redis", "redis-1") == "redis-2"


def test_without_a_lab_no_node_is_touched() -> None:
    with pytest.raises(HostError, match="need a lab"):
        _ = stage().lab


def test_a_sequence_heals_between_its_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Stage, "hold", lambda _, seconds: told.append("hold"))
    monkeypatch.setattr(Stage, "heal", lambda _: told.append("heal"))

    def act(made: Stage) -> None:
        told.append("act")

    one = scenarios.by_name("kill-app")
    drawn = sequences.drawn(1, [type(one)(name="x", summary="x", kind=one.kind, act=act)])
    drawn.act(stage())
    assert told == ["act", "heal", "hold"] * sequences.LENGTH


TARGET: Any = FakeTarget(plan=settings.plan_of(resolve("prod")))


def test_a_whole_stack_violates_nothing() -> None:
    assert invariants.of_sample(TARGET, sample(0)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"redis": {}}, "0 Redis primaries"),
        ({"redis": {**sample(0).redis, "redis-2": {"role": "master", "writable": False}}}, "2 Redis primaries"),
        ({"redis": {**sample(0).redis, "redis-1": {"role": "master", "writable": False}}}, "takes no writes"),
        (
            {"redis": {**sample(0).redis, "redis-3": {"role": "slave", "of": "redis-2", "link": "up"}}},
            "redis-3 follows redis-2",
        ),
        (
            {"redis": {**sample(0).redis, "redis-3": {"role": "slave", "of": "redis-1", "link": "down"}}},
            "redis-3 follows redis-1, link down",
        ),
        ({"sentinels": {**sample(0).sentinels, "sentinel-2": "redis-3"}}, "sentinel-2 names redis-3"),
        ({"sentinels": {}}, "sentinel-1 names nobody"),
        ({"postgres": {"postgres-2": "standby"}}, "0 PostgreSQL primaries"),
        ({"postgres": {"postgres-1": "primary", "postgres-2": "standby"}}, "postgres-3 does not answer"),
        ({"patroni": {}}, "Patroni's leader is nobody"),
        (
            {"patroni": {**sample(0).patroni, "postgres-2": {"role": "replica", "state": "streaming"}}},
            "no synchronous standby",
        ),
        (
            {"patroni": {**sample(0).patroni, "postgres-3": {"role": "replica", "state": "start failed"}}},
            "postgres-3 is replica, start failed",
        ),
    ],
)
def test_what_does_not_hold_is_said(change: dict[str, Any], said: str) -> None:
    assert said in "\n".join(invariants.of_sample(TARGET, sample(0, **change)))


def test_of_a_node_that_is_gone_for_good_nothing_is_asked() -> None:
    seen = sample(
        0,
        redis={name: told for name, told in sample(0).redis.items() if name != "redis-3"},
        sentinels={"sentinel-1": "redis-1", "sentinel-2": "redis-1"},
        postgres={"postgres-1": "primary", "postgres-2": "standby"},
    )
    assert invariants.of_sample(TARGET, seen, ignore=frozenset({3})) == []
    assert invariants.of_sample(TARGET, seen)
