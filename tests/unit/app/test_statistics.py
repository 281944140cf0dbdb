"""The figures of the status page: percentiles, ratios, windows, and what is said before there is anything to say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import events
from app.events import RequestFinished
from app.telemetry import statistics
from app.telemetry.statistics import Statistics

FINE = RequestFinished(
    method="GET",
    path="/api/chats",
    route="/api/chats",
    status=200,
    duration_seconds=0.05,
    client="192.0.2.1",
    caller="ide",
    variant="optimised",
    cache=None,
    is_user_traffic=True,
)
FAILED = replace(FINE, status=500)


class Rig:
    """Statistics whose clock the test moves."""

    def __init__(self, *, objective: float = 0.9) -> None:
        self.now = 1000.0
        self.statistics = Statistics(
            apdex_threshold_seconds=0.1, availability_objective=objective, clock=lambda: self.now
        )

    def hear(self, *heard: events.Event) -> None:
        for event in heard:
            self.statistics.on_event(event)

    def last(self, *seconds: float) -> None:
        """Requests that took so long."""
        self.hear(*(replace(FINE, duration_seconds=duration) for duration in seconds))

    def __getitem__(self, figure: str) -> Any:
        return self.statistics.snapshot()[figure]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_before_the_first_event_there_is_nothing_to_tell(rig: Rig) -> None:
    nothing = {"hits": 0, "misses": 0, "hit_ratio": None}
    assert rig.statistics.snapshot() == {
        "uptime_seconds": 0.0,
        "requests": {"count": 0, "errors": 0, "per_second": 0.0},
        "latency_milliseconds": {"p50": None, "p95": None, "p99": None, "mean": None},
        "tiers": {"l1": nothing, "l2": nothing, "l3": nothing},
        "reads": {"l1": 0, "l2": 0, "l3": 0, "origin": 0, "hit_ratio": None, "stale": 0},
        "deduplicated": 0,
        "apdex": None,
        "csat": None,
        "rage_retries": 0,
        "shed": {},
        "error_budget": {"objective": 0.9, "remaining_ratio": None},
    }
    assert (rig.statistics.cache_hit_rate, rig.statistics.average_response_milliseconds) == (0.0, 0.0)


def test_one_request_is_every_percentile(rig: Rig) -> None:
    rig.last(0.0123)
    assert rig["latency_milliseconds"] == dict.fromkeys(("p50", "p95", "p99", "mean"), 12.3)


def test_the_median_of_two_is_the_first_by_nearest_rank(rig: Rig) -> None:
    rig.last(0.001, 0.002)
    assert rig["latency_milliseconds"]["p50"] == 1.0


def test_percentiles_of_a_hundred_and_one_are_the_51st_the_96th_and_the_100th(rig: Rig) -> None:
    rig.last(*(number / 1000 for number in range(101, 0, -1)))
    assert rig["latency_milliseconds"] == {"p50": 51.0, "p95": 96.0, "p99": 100.0, "mean": 51.0}


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300))
@settings(deadline=None)
def test_percentiles_are_durations_that_were_and_never_fall(durations: list[float]) -> None:
    rig = Rig()
    rig.last(*durations)
    figures = rig["latency_milliseconds"]
    assert figures["p50"] <= figures["p95"] <= figures["p99"] <= round(1000 * max(durations), 3)
    assert {figures["p50"], figures["p95"], figures["p99"]} <= {round(1000 * duration, 3) for duration in durations}
    # At least half of them are no longer than the median, and half no shorter.
    assert sum(round(1000 * duration, 3) <= figures["p50"] for duration in durations) * 2 >= len(durations)
    assert sum(round(1000 * duration, 3) >= figures["p50"] for duration in durations) * 2 >= len(durations)


def test_only_the_last_thousand_durations_count(rig: Rig) -> None:
    rig.last(*[9.0] * 500, *[0.001] * statistics.WINDOW)
    figures = rig["latency_milliseconds"]
    assert (figures["p99"], figures["mean"]) == (1.0, 1.0)
    assert rig["requests"]["count"] == 1500


def test_health_checks_and_scrapes_do_not_count(rig: Rig) -> None:
    rig.hear(replace(FAILED, is_user_traffic=False), events.RequestStarted())
    assert (rig["requests"]["count"], rig["requests"]["errors"], rig["apdex"]) == (0, 0, None)
    assert rig["latency_milliseconds"]["p50"] is None


@pytest.mark.parametrize(("status", "errors"), [(200, 0), (304, 0), (404, 0), (429, 0), (499, 0), (500, 1), (504, 1)])
def test_an_error_is_what_the_service_did_wrong(rig: Rig, status: int, errors: int) -> None:
    rig.hear(replace(FINE, status=status))
    assert rig["requests"]["errors"] == errors


def test_the_rate_is_that_of_the_last_minute(rig: Rig) -> None:
    rig.now += 600
    rig.hear(*[FINE] * 600)
    rig.now += 30
    rig.hear(*[FINE] * 60)
    assert rig["requests"]["per_second"] == 11.0
    rig.now += 31
    assert rig["requests"]["per_second"] == 1.0
    rig.now += 60
    assert rig["requests"]["per_second"] == 0.0


def test_the_rate_of_a_young_process_is_over_its_own_age(rig: Rig) -> None:
    rig.hear(*[FINE] * 20)
    assert rig["requests"]["per_second"] == 20.0, "not a division by an age of nearly nothing"
    rig.now += 10
    assert rig["requests"]["per_second"] == 2.0


def test_each_tier_has_a_ratio_of_its_own(rig: Rig) -> None:
    rig.hear(*[events.TierLookedUp("l1", True, 0.001)] * 3, events.TierLookedUp("l1", False, 0.001))
    rig.hear(*[events.TierLookedUp("l2", False, 0.001)] * 2)
    assert rig["tiers"] == {
        "l1": {"hits": 3, "misses": 1, "hit_ratio": 0.75},
        "l2": {"hits": 0, "misses": 2, "hit_ratio": 0.0},
        "l3": {"hits": 0, "misses": 0, "hit_ratio": None},
    }


def test_a_read_that_any_tier_answered_is_a_hit(rig: Rig) -> None:
    sources: list[tuple[events.Source, bool]] = [("l1", False), ("l2", False), ("l3", True), ("origin", False)]
    rig.hear(*(events.ReadServed(source, False, stale) for source, stale in sources))
    assert rig["reads"] == {"l1": 1, "l2": 1, "l3": 1, "origin": 1, "hit_ratio": 0.75, "stale": 1}
    assert (rig.statistics.cache_hits, rig.statistics.cache_misses, rig.statistics.cache_hit_rate) == (3, 1, 0.75)


@given(st.lists(st.sampled_from(["l1", "l2", "l3", "origin"]), max_size=100))
@settings(deadline=None)
def test_hits_and_misses_are_all_reads(sources: list[events.Source]) -> None:
    rig = Rig()
    rig.hear(*(events.ReadServed(source, False, False) for source in sources))
    assert rig.statistics.cache_hits + rig.statistics.cache_misses == len(sources)
    assert 0.0 <= rig.statistics.cache_hit_rate <= 1.0


@pytest.mark.parametrize(
    ("request_", "apdex"),
    [
        (replace(FINE, duration_seconds=0.1), 1.0),
        (replace(FINE, duration_seconds=0.11), 0.5),
        (replace(FINE, duration_seconds=0.4), 0.5),
        (replace(FINE, duration_seconds=0.41), 0.0),
        (replace(FAILED, duration_seconds=0.01), 0.0),
        (replace(FAILED, duration_seconds=0.2), 0.0),
        (replace(FINE, status=404), 1.0),
    ],
)
def test_apdex_of_one_request(rig: Rig, request_: RequestFinished, apdex: float) -> None:
    rig.hear(request_)
    assert rig["apdex"] == apdex


def test_apdex_is_the_mean_of_all(rig: Rig) -> None:
    rig.last(0.05, 0.05, 0.2, 3.0)
    assert rig["apdex"] == 0.625


def test_csat_is_the_part_of_fours_and_fives(rig: Rig) -> None:
    rig.hear(*(events.FeedbackGiven(score) for score in (1, 2, 3, 4, 5)))
    assert rig["csat"] == 0.4


def test_what_happens_seldom_is_counted(rig: Rig) -> None:
    rig.hear(events.ReadShared(), events.ReadShared(across_replicas=True), events.RageRetried())
    rig.hear(events.RequestShed("overload"), events.RequestShed("rate_limit"), events.RequestShed("overload"))
    assert (rig["deduplicated"], rig["rage_retries"]) == (2, 1)
    assert rig["shed"] == {"overload": 2, "rate_limit": 1}


def test_the_budget_is_what_the_objective_still_allows() -> None:
    rig = Rig(objective=0.99)
    rig.hear(*[FINE] * 999, FAILED)
    assert rig["error_budget"] == {"objective": 0.99, "remaining_ratio": 0.9}
    rig.hear(*[FAILED] * 19)
    assert rig["error_budget"]["remaining_ratio"] == pytest.approx(1 - 20 / 10.19, abs=1e-4), "overspent"


def test_the_budget_is_that_of_the_last_hour(rig: Rig) -> None:
    rig.hear(FAILED)
    rig.now += 3599
    rig.hear(FINE)
    assert rig["error_budget"]["remaining_ratio"] == -4.0
    rig.now += 2
    assert rig["error_budget"]["remaining_ratio"] == 1.0
    rig.now += 3600
    assert rig["error_budget"]["remaining_ratio"] is None
    assert rig["requests"] == {"count": 2, "errors": 1, "per_second": 0.0}, "these are since the start"


def test_memory_does_not_grow_with_time_nor_with_traffic(rig: Rig) -> None:
    for _ in range(3 * statistics.BUDGET_SECONDS):
        rig.now += 1
        rig.hear(FINE, FINE)
    assert len(rig.statistics._seconds) <= statistics.BUDGET_SECONDS
    assert len(rig.statistics._durations) == statistics.WINDOW


def test_the_uptime_is_since_the_start(rig: Rig) -> None:
    rig.now += 12.34
    assert rig["uptime_seconds"] == 12.3
