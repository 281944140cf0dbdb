"""For how long nothing could be written."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.chaos.gaps import longest_gap, write_gap
from ops.chaos.records import Outcome, Store
from tests.unit.chaos.observed import BEGIN, steady, write

ALL = frozenset({1, 2, 3})


def test_the_longest_gap_is_between_two_answers() -> None:
    assert longest_gap([1, 2, 3, 7, 8], 2, 8) == 4


def test_a_gap_begins_with_the_last_answer_before_the_fault() -> None:
    assert longest_gap([1.0, 9.5, 13.0, 13.1], 10.0, 13.05) == 3.5


def test_a_gap_that_is_open_at_the_end_is_closed_by_the_first_answer_after_it() -> None:
    assert longest_gap([9, 15], 10, 12) == 6


def test_a_writer_that_never_comes_back_is_not_one_that_never_stopped() -> None:
    assert longest_gap([1, 2, 3], 3, 30) == 27


def test_what_was_long_before_the_fault_is_not_its_doing() -> None:
    assert longest_gap([0, 5, 9, 10, 11], 9, 11) == 1


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(10, 50), st.floats(51, 90))
def test_no_two_answers_within_the_window_are_farther_apart(times: list[float], begin: float, end: float) -> None:
    gap = longest_gap(times, begin, end)
    inside = sorted(time for time in times if begin <= time <= end)
    assert all(later - earlier <= gap for earlier, later in itertools.pairwise(inside))
    assert gap > 0 or end == begin


def test_the_worst_writer_counts() -> None:
    writes = [*steady(Store.REDIS, 1), *steady(Store.REDIS, 2, without=(10, 13))]
    assert write_gap(writes, BEGIN + 10, BEGIN + 20, ALL) == pytest.approx(3.0, abs=0.11)


def test_writers_on_a_node_that_was_taken_away_do_not_count() -> None:
    writes = [*steady(Store.REDIS, 1), *steady(Store.REDIS, 2, without=(10, 20))]
    assert write_gap(writes, BEGIN + 10, BEGIN + 20, frozenset({1, 3})) == pytest.approx(0.1, abs=0.01)


def test_what_only_one_server_took_ends_no_gap() -> None:
    writes = [*steady(Store.REDIS, 1, without=(10, 14)), write(12, outcome=Outcome.ACCEPTED)]
    assert write_gap(writes, BEGIN + 10, BEGIN + 20, ALL) == pytest.approx(4.0, abs=0.11)


def test_a_writer_that_came_later_says_nothing() -> None:
    late = [write(15 + number / 10, writer="came later") for number in range(10)]
    assert write_gap(late, BEGIN + 10, BEGIN + 20, ALL) is None
