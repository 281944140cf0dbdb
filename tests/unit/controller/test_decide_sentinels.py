"""The decision table about sentinels."""

from __future__ import annotations

from typing import Any

import pytest

from ops.controller.decision import Finding, Repair
from ops.controller.observation import Known
from tests.unit.controller.observations import (
    ALIVE,
    DOWN,
    NOBODY,
    R1,
    R2,
    R3,
    S1,
    S2,
    S3,
    SENTINELS,
    decisions,
    following,
    only,
    repairs,
    seen,
    silent,
)

FAILOVER = {"flags": frozenset({"master", "failover_in_progress"})}
GHOST = (Known(address=R2, flags=ALIVE), Known(address=R3, flags=ALIVE), Known(address="10.0.0.9:6379", flags=DOWN))


@pytest.mark.parametrize("named", [R2, NOBODY, ""])
def test_a_sentinel_that_names_another_watches_the_primary_of_the_majority(named: str) -> None:
    assert repairs(seen({S2: {"primary": named}})) == [(Repair.MONITOR, (S2,), R1)]


def test_it_does_so_though_a_server_and_the_third_sentinel_are_silent() -> None:
    observation = seen({S2: {"primary": R2}} | silent(R3))
    assert (Repair.MONITOR, (S2,), R1) in repairs(observation)


@pytest.mark.parametrize("named", [R2, NOBODY, ""])
def test_sentinels_that_all_name_another_watch_the_only_primary_that_all_follow(named: str) -> None:
    observation = seen({address: {"primary": named} for address in SENTINELS})
    assert repairs(observation) == [(Repair.MONITOR, SENTINELS, R1)]


EVERY = {address: {"primary": NOBODY} for address in SENTINELS}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (EVERY | silent(R3), "cannot be proven"),
        (EVERY | {R3: following(NOBODY)}, "cannot be proven"),
        (EVERY | {R3: following(R1)}, "cannot be proven"),
        ({S2: {"primary": R2, **FAILOVER}}, "a sentinel is at work"),
        ({S2: {"primary": R2}, S1: FAILOVER}, "a sentinel is at work"),
        ({S2: {"primary": R3}, R3: {"role": "master", "follows": "", "link_is_up": False}}, "cannot be proven"),
    ],
)
def test_diverged_sentinels_are_left_alone(changes: dict[str, dict[str, Any]], reason: str) -> None:
    decision = only(seen(changes), Finding.SENTINEL_DIVERGED)
    assert decision.repair is None
    assert reason in decision.reason
    assert not [repair for repair, _, _ in repairs(seen(changes)) if repair is Repair.MONITOR]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"replicas": GHOST}, "10.0.0.9:6379, which is none of ours"),
        ({"others": 3}, "3 other sentinels, not 2"),
        ({"others": 1}, "1 other sentinels, not 2"),
        ({"replicas": GHOST[:1]}, f"does not know the replica {R3}"),
        ({"replicas": (GHOST[0], Known(address=R3, flags=DOWN))}, f"holds {R3} for down"),
    ],
)
def test_a_sentinel_with_wrong_knowledge_forgets_it(changed: dict[str, Any], reason: str) -> None:
    decision = only(seen({S3: changed}), Finding.SENTINEL_STALE)
    assert (decision.repair, decision.subjects) == (Repair.RESET, (S3,))
    assert reason in decision.reason


def test_a_replica_that_really_is_down_is_rightly_known_as_such() -> None:
    known = {address: {"replicas": (GHOST[0], Known(address=R3, flags=DOWN))} for address in SENTINELS}
    assert decisions(seen(known | silent(R3)), Finding.SENTINEL_STALE) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({S3: {"replicas": GHOST}} | silent(S1), "not all sentinels answer"),
        ({S3: {"replicas": GHOST}, S1: {"primary": R2}}, "not all sentinels name the same"),
        ({S3: {"replicas": GHOST}, S1: {"flags": frozenset({"master", "s_down"})}}, "holds the primary for down"),
        ({S3: {"replicas": GHOST}, S1: FAILOVER}, "holds the primary for down"),
    ],
)
def test_a_sentinel_is_not_made_to_forget(changes: dict[str, dict[str, Any]], reason: str) -> None:
    decision = only(seen(changes), Finding.SENTINEL_STALE)
    assert decision.repair is None
    assert reason in decision.reason
