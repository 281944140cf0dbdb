"""Retries make up a bounded part of all calls, whatever happens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.resilience.retry import BASE_SECONDS, MAX_TOKENS, MINIMUM_PER_SECOND, RetryBudget, back_off_seconds

RATIO = 0.1


@settings(deadline=None, max_examples=200)
@given(steps=st.lists(st.one_of(st.just("call"), st.just("retry"), st.floats(0, 20)), max_size=300))
def test_retries_never_exceed_their_part(steps: list[str | float]) -> None:
    now = 0.0
    budget = RetryBudget(RATIO, lambda: now)
    calls = retries = 0
    for step in steps:
        if step == "call":
            budget.called()
            calls += 1
        elif step == "retry":
            retries += budget.take()
        else:
            assert isinstance(step, float)
            now += step
        assert retries <= MAX_TOKENS + RATIO * calls + MINIMUM_PER_SECOND * now + 1e-6


def test_what_is_saved_up_is_bounded_and_comes_back_with_time() -> None:
    now = 0.0
    budget = RetryBudget(RATIO, lambda: now)
    for _ in range(10_000):
        budget.called()
    assert sum(budget.take() for _ in range(100)) == MAX_TOKENS
    now = 3.0
    assert sum(budget.take() for _ in range(100)) == 3 * MINIMUM_PER_SECOND


def test_the_ratio_0_means_no_retries() -> None:
    now = 0.0
    budget = RetryBudget(0.0, lambda: now)
    budget.called()
    now = 1000.0
    assert not budget.take()


def test_back_off_grows_and_is_jittered() -> None:
    for attempt, most_seconds in ((2, BASE_SECONDS), (3, 2 * BASE_SECONDS)):
        pauses = [back_off_seconds(attempt) for _ in range(300)]
        assert 0 <= min(pauses) < 0.2 * most_seconds
        assert 0.8 * most_seconds < max(pauses) <= most_seconds
