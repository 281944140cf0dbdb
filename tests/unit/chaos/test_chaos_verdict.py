"""The figures of a run, and when it held."""

from __future__ import annotations

import dataclasses

import pytest

from ops.chaos import goals
from ops.chaos.goals import FIGURES, LIMITS, Kind
from ops.chaos.records import Outcome, Store
from tests.unit.chaos.observed import observation, request, sample, steady, write


@pytest.mark.parametrize("kind", list(Kind))
def test_a_run_in_which_all_went_well_holds(kind: Kind) -> None:
    verdict = goals.judge(observation(slots=(3,)), LIMITS[kind])
    assert verdict.reasons == ()
    assert verdict.held


def test_a_lost_message_breaks_it() -> None:
    seen = observation(stored_messages=observation().stored_messages[1:])
    verdict = goals.judge(seen, LIMITS[Kind.KILL])
    assert not verdict.held
    assert verdict.figures["lost_messages"] == 1
    assert verdict.reasons == ("acknowledged chat messages lost: 1, at most 0 is asked",)


@pytest.mark.parametrize(
    ("store", "figure"), [(Store.REDIS, "lost_redis_writes"), (Store.POSTGRES, "lost_postgres_writes")]
)
def test_a_lost_write_breaks_it(store: Store, figure: str) -> None:
    whole = observation()
    gone = next(write.id for write in whole.writes if write.store is store)
    seen = dataclasses.replace(
        whole, stored_redis=whole.stored_redis - {gone}, stored_postgres=whole.stored_postgres - {gone}
    )
    assert goals.figures(seen)[figure] == 1
    assert not goals.judge(seen, LIMITS[Kind.MORE]).held


def test_a_gap_is_as_long_as_it_was_and_judged_by_its_kind() -> None:
    writes = [
        *steady(Store.REDIS, 1, without=(10, 13.6)),
        *steady(Store.POSTGRES, 1, without=(10, 14)),
    ]
    seen = observation(writes=writes)
    assert goals.figures(seen)["redis_gap_seconds"] == pytest.approx(3.6, abs=0.11)
    assert goals.figures(seen)["postgres_gap_seconds"] == pytest.approx(4.0, abs=0.11)
    assert not goals.judge(seen, LIMITS[Kind.KILL]).held
    assert goals.judge(observation(writes=writes, slots=(3,)), LIMITS[Kind.NODE_LOSS]).held


def test_what_was_not_measured_is_no_success() -> None:
    verdict = goals.judge(observation(writes=[]), LIMITS[Kind.KILL])
    assert [reason for reason in verdict.reasons if "not measured" in reason]


def test_a_stack_that_never_recovers_does_not_hold() -> None:
    seen = observation(recovered=None, violations=("redis-1 follows nobody",))
    verdict = goals.judge(seen, LIMITS[Kind.KILL])
    assert verdict.figures["recovery_seconds"] is None
    assert "redis-1 follows nobody" in verdict.reasons


def test_recovery_counts_from_the_fault_s_end() -> None:
    assert goals.figures(observation(recovered=20.0))["recovery_seconds"] == pytest.approx(8.0)


def test_failures_at_the_edge_that_was_taken_away_are_expected() -> None:
    requests = [request(n / 10, client="edge-3", status=0) for n in range(100, 200)]
    requests += [request(n / 10, client="edge-1") for n in range(300)]
    figures = goals.figures(observation(requests=requests, slots=(3,)))
    assert figures["failed_surviving_edges"] == 0
    assert goals.figures(observation(requests=requests, slots=()))["failed_surviving_edges"] == 100


def test_failures_later_than_15_s_are_counted_apart() -> None:
    requests = [request(11, status=503), request(24, status=503), request(25.1, status=503), request(26)]
    figures = goals.figures(observation(requests=requests, slots=(3,)))
    assert (figures["failed_surviving_edges"], figures["failed_when_calm"]) == (3, 1)


def test_an_isolated_primary_that_takes_writes_for_too_long_breaks_it() -> None:
    cut = [write(at, store=Store.STICKY, slot=3, outcome=Outcome.ACCEPTED) for at in (11.0, 12.0, 13.5)]
    seen = observation(writes=[*observation().writes, *cut], slots=(3,))
    stored = seen.stored_redis - {item.id for item in cut}
    verdict = goals.judge(dataclasses.replace(seen, stored_redis=stored), LIMITS[Kind.PARTITION])
    assert verdict.figures["isolated_seconds"] == pytest.approx(3.5)
    assert verdict.reasons == ("an isolated Redis primary took writes for: 3.50 s, at most 3.00 s is asked",)
    # From when its node was cut off: another fault had come before.
    fault = dataclasses.replace(seen.fault, begin=seen.fault.begin - 9, taken=seen.fault.begin)
    later = dataclasses.replace(seen, stored_redis=stored, fault=fault)
    assert goals.figures(later)["isolated_seconds"] == pytest.approx(3.5)


def test_two_primaries_break_it() -> None:
    both = {"redis-1": {"role": "master", "writable": True}, "redis-2": {"role": "master", "writable": True}}
    assert not goals.judge(observation(samples=[sample(1, redis=both)]), LIMITS[Kind.MORE]).held


def test_a_scenario_that_could_not_be_done_does_not_hold() -> None:
    seen = observation(error="the scenario could not be done: no primary")
    assert goals.judge(seen, LIMITS[Kind.MORE]).reasons == ("the scenario could not be done: no primary",)


def test_every_limit_has_a_figure_and_every_figure_is_computed() -> None:
    assert {name for limits in LIMITS.values() for name in limits} <= set(FIGURES)
    assert set(goals.figures(observation())) == set(FIGURES)
    assert goals.figures(observation(requests=[]))["p99_ms"] is None
