"""The decision table about servers: what is repaired, and every way in which the same finding is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from ops.controller.decide import decide
from ops.controller.decision import Finding, Repair
from tests.unit.controller.observations import (
    NOBODY,
    R1,
    R2,
    R3,
    S1,
    S2,
    following,
    only,
    repairs,
    seen,
    silent,
)

FAILOVER = {"flags": frozenset({"master", "failover_in_progress"})}


@pytest.mark.parametrize("primary", [R1, R2, R3])
def test_a_cluster_in_order_has_no_finding(primary: str) -> None:
    assert decide(seen(primary=primary)) == ()


@pytest.mark.parametrize("gone", [R1, R2, R3, S1])
def test_silence_alone_is_never_repaired(gone: str) -> None:
    assert repairs(seen(silent(gone))) == []


# Masterless: every server is a replica of a name that is nobody.
def masterless(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {address: following(NOBODY) for address in (R1, R2, R3)}
    for name, fields in changes.items():
        address = {"r1": R1, "r2": R2, "r3": R3}[name]
        found[address] = {**found[address], **fields}
    return found


def test_without_a_primary_the_one_that_has_everything_is_promoted() -> None:
    observation = seen(masterless(r2={"offset": 1001}))
    decision = only(observation, Finding.NO_PRIMARY)
    assert (decision.repair, decision.primary) == (Repair.PROMOTE, R2)
    assert decision.subjects == (R2, R1, R3)
    assert repairs(observation) == [(Repair.PROMOTE, (R2, R1, R3), R2)]


def test_of_equals_the_one_that_the_sentinels_name_is_promoted() -> None:
    assert only(seen(masterless(), primary=R3), Finding.NO_PRIMARY).primary == R3
    nowhere = {address: {"primary": NOBODY} for address in ("s1:26379", "s2:26379", "s3:26379")}
    assert only(seen(masterless() | nowhere), Finding.NO_PRIMARY).primary == R1


def test_an_empty_server_does_not_stand_in_the_way_and_is_not_chosen() -> None:
    found = masterless(r1={"keys": 0, "history": "other", "offset": 5000}, r3={"offset": 1001})
    assert only(seen(found), Finding.NO_PRIMARY).primary == R3


def test_an_older_stream_counts_up_to_where_it_was_left() -> None:
    newer = {"history": "h2", "offset": 1200, "previous_history": "h1", "previous_end": 1000}
    assert only(seen(masterless(r2=newer)), Finding.NO_PRIMARY).primary == R2
    assert only(seen(masterless(r2=newer | {"previous_end": 999})), Finding.NO_PRIMARY).repair is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (masterless() | silent(R3), "does not answer"),
        (masterless() | silent(S1) | silent(S2), "no majority of the sentinels answers"),
        (masterless() | {S1: FAILOVER}, "a sentinel is at work"),
        (masterless(r1={"is_busy": True}), "still loads"),
        (masterless(r1={"link_is_up": True}), "none of ours"),
        (masterless(r1={"history": "other"}), "histories differ"),
    ],
)
def test_without_a_primary_nothing_is_guessed(changes: dict[str, dict[str, Any]], reason: str) -> None:
    decision = only(seen(changes), Finding.NO_PRIMARY)
    assert decision.repair is None
    assert reason in decision.reason
    assert repairs(seen(changes)) == []


# Two primaries: R3 has become one beside R1.
SECOND: dict[str, dict[str, Any]] = {R3: {"role": "master", "follows": "", "link_is_up": False}, R1: {"replicas": 1}}


def test_a_second_primary_without_replicas_follows_the_agreed_one() -> None:
    assert repairs(seen(SECOND)) == [(Repair.FOLLOW, (R3,), R1)]


def test_with_three_primaries_both_others_follow() -> None:
    third: dict[str, dict[str, Any]] = {R2: {"role": "master", "follows": "", "link_is_up": False}, R1: {"replicas": 0}}
    assert repairs(seen(SECOND | third)) == [(Repair.FOLLOW, (R2,), R1), (Repair.FOLLOW, (R3,), R1)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({R3: {**SECOND[R3], "replicas": 1}, R2: following(R3, up=True)}, "may have acknowledged its writes"),
        (SECOND | {R1: {"keys": 0}}, "would be emptied"),
        (SECOND | {S1: FAILOVER}, "a sentinel is at work"),
        (SECOND | silent(S1) | silent(S2), "no majority"),
        (SECOND | {S1: {"primary": R3}, S2: {"primary": R2}}, "no majority"),
        (SECOND | {address: {"primary": R2} for address in (S1, S2, "s3:26379")}, "no majority"),
    ],
)
def test_a_second_primary_is_left_alone(changes: dict[str, dict[str, Any]], reason: str) -> None:
    decision = only(seen(changes), Finding.SEVERAL_PRIMARIES)
    assert decision.repair is None
    assert reason in decision.reason
    assert repairs(seen(changes)) == []


def test_a_replica_of_a_dead_name_follows_the_primary() -> None:
    assert repairs(seen({R3: following(NOBODY)})) == [(Repair.FOLLOW, (R3,), R1)]


def test_a_replica_of_a_replica_follows_the_primary() -> None:
    assert repairs(seen({R3: following(R2, up=True)})) == [(Repair.FOLLOW, (R3,), R1)]


def test_a_replica_that_waits_for_the_right_one_is_left_to_itself() -> None:
    assert decide(seen({R3: following(R1)})) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({R3: following(NOBODY, up=True)}, "may have acknowledged writes"),
        ({R3: following(R2, up=True)} | silent(R2), "may have acknowledged writes"),
        ({R3: following(NOBODY, offset=1001)}, "more of the same stream"),
        ({R3: following(NOBODY), R1: {"keys": 0}}, "would be emptied"),
        ({R3: following(NOBODY), S1: FAILOVER}, "a sentinel is at work"),
        (
            {R3: following(NOBODY, history="other")} | {address: {"primary": NOBODY} for address in (S1, S2)},
            "may lack what it has",
        ),
    ],
)
def test_a_stray_replica_is_left_alone(changes: dict[str, dict[str, Any]], reason: str) -> None:
    decision = only(seen(changes), Finding.REPLICA_ASTRAY)
    assert decision.repair is None
    assert reason in decision.reason
    assert repairs(seen(changes)) == []


def test_a_replica_belongs_to_nobody_while_the_only_primary_may_be_the_wrong_one() -> None:
    """The sentinels name R1, which is silent; R2 is the only primary in sight."""
    found = silent(R1) | {R2: {"role": "master", "follows": ""}, R3: following(NOBODY)}
    assert repairs(seen(found)) == []
