"""When a repair is due: seen often enough, for long enough, not again at once, one at a time."""

from __future__ import annotations

import dataclasses

from ops.controller.decide import decide
from ops.controller.decision import Decision, Finding, Repair
from ops.controller.patience import Patience, Waits
from tests.unit.controller.observations import R1, R3, S1, S2, following, seen

WAITS = Waits(looks=3, seconds=10.0, promote_seconds=20.0, cooldown_seconds=60.0)
FOLLOW = Decision(
    finding=Finding.REPLICA_ASTRAY, subjects=(R3,), reason="x", repair=Repair.FOLLOW, primary=R1, witnesses=("a",)
)
PROMOTE = dataclasses.replace(FOLLOW, finding=Finding.NO_PRIMARY, repair=Repair.PROMOTE)


def reset(sentinel: str) -> Decision:
    return dataclasses.replace(FOLLOW, finding=Finding.SENTINEL_STALE, repair=Repair.RESET, subjects=(sentinel,))


def due(patience: Patience, decision: Decision, *times: float) -> list[bool]:
    return [patience.ripe([decision], now) is not None for now in times]


def test_it_must_stand_for_so_many_looks_and_seconds() -> None:
    assert due(Patience(WAITS), FOLLOW, 0, 5, 9.9, 10) == [False, False, False, True]
    assert due(Patience(WAITS), FOLLOW, 0, 50, 51) == [False, False, True]


def test_a_promotion_waits_longer() -> None:
    assert due(Patience(WAITS), PROMOTE, 0, 10, 19.9, 20) == [False, False, False, True]


def test_one_look_without_it_and_it_starts_anew() -> None:
    patience = Patience(WAITS)
    assert due(patience, FOLLOW, 0, 5) == [False, False]
    assert patience.ripe([], 8) is None
    assert due(patience, FOLLOW, 10, 15, 20) == [False, False, True]


def test_another_process_behind_the_address_starts_it_anew() -> None:
    patience = Patience(WAITS)
    assert due(patience, FOLLOW, 0, 5) == [False, False]
    restarted = dataclasses.replace(FOLLOW, witnesses=("b",))
    assert due(patience, restarted, 10, 15, 20) == [False, False, True]


def test_other_words_for_the_same_do_not() -> None:
    patience = Patience(WAITS)
    assert due(patience, FOLLOW, 0, 5) == [False, False]
    assert patience.ripe([dataclasses.replace(FOLLOW, reason="y")], 10) is not None


def test_what_has_no_repair_is_never_due() -> None:
    left_alone = dataclasses.replace(FOLLOW, repair=None)
    assert due(Patience(WAITS), left_alone, 0, 10, 20, 30) == [False] * 4


def test_it_is_not_repeated_before_its_cooldown_is_over() -> None:
    patience = Patience(WAITS)
    assert due(patience, FOLLOW, 0, 5, 10) == [False, False, True]
    patience.made(FOLLOW, 10)
    assert due(patience, FOLLOW, 20, 40, 69.9, 70) == [False, False, False, True]


def test_after_a_repair_everything_else_must_be_seen_anew() -> None:
    patience = Patience(WAITS)
    both = [FOLLOW, reset(S1)]
    assert [patience.ripe(both, now) for now in (0, 5, 10)] == [None, None, FOLLOW]
    patience.made(FOLLOW, 10)
    assert [patience.ripe(both, now) for now in (11, 15, 21)] == [None, None, reset(S1)]


def test_sentinels_forget_one_at_a_time() -> None:
    patience = Patience(WAITS)
    both = [reset(S1), reset(S2)]
    assert [patience.ripe(both, now) for now in (0, 5, 10)] == [None, None, reset(S1)]
    patience.made(reset(S1), 10)
    assert [patience.ripe([reset(S2)], now) for now in (11, 40, 69, 70)] == [None, None, None, reset(S2)]


def test_real_decisions_can_be_told_apart() -> None:
    """They are keys of a mapping: the same look twice gives the same."""
    first, second = (decide(seen({R3: following("gone:1")})) for _ in range(2))
    assert len(set(first + second)) == len(first) == 1
