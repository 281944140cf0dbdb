"""When repeated requests count as rage."""

from __future__ import annotations

from contextvars import copy_context
from dataclasses import replace

import pytest

from app import context
from app.events import Event, RageRetried, RequestFinished
from app.experience import rage
from app.experience.rage import RageDetector

FAILED = RequestFinished(
    method="POST",
    path="/api/chats",
    route="/api/chats",
    status=503,
    duration_seconds=0.1,
    client="192.0.2.1",
    caller="web",
    variant="optimised",
    cache=None,
    is_user_traffic=True,
)
FINE = replace(FAILED, status=201)


class Rig:
    """A detector whose clock the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.events: list[Event] = []
        self.detector = RageDetector(self.events.append, lambda: self.now)

    def play(self, *requests: RequestFinished, every_seconds: float = 0.5) -> int:
        """How many bursts the requests made."""
        before = len(self.events)
        for request in requests:
            self.now += every_seconds
            self.detector.on_event(request)
        assert all(event == RageRetried() for event in self.events)
        return len(self.events) - before


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_fourth_request_after_three_bad_answers_is_rage(rig: Rig) -> None:
    assert rig.play(FAILED, FAILED, FAILED) == 0
    assert rig.play(FAILED) == 1


def test_the_fourth_answer_itself_does_not_matter(rig: Rig) -> None:
    assert rig.play(FAILED, FAILED, FAILED, FINE) == 1


@pytest.mark.parametrize("status", [429, 499, 500, 503, 504])
def test_errors_that_the_user_did_not_make_are_bad(rig: Rig, status: int) -> None:
    assert rig.play(*[replace(FAILED, status=status)] * 4) == 1


@pytest.mark.parametrize("status", [200, 304, 400, 401, 404, 409, 422])
def test_other_answers_are_not(rig: Rig, status: int) -> None:
    assert rig.play(*[replace(FAILED, status=status)] * 20) == 0


def test_slow_answers_are_bad(rig: Rig) -> None:
    assert rig.play(*[replace(FINE, duration_seconds=1.5)] * 4) == 1
    assert Rig().play(*[replace(FINE, duration_seconds=0.9)] * 4) == 0


def test_a_burst_is_reported_once_however_long_it_lasts(rig: Rig) -> None:
    assert rig.play(*[FAILED] * 50) == 1


def test_three_seconds_of_silence_end_a_burst(rig: Rig) -> None:
    assert rig.play(*[FAILED] * 6) == 1
    rig.now += 3.0
    assert rig.play(*[FAILED] * 6) == 1


def test_a_good_answer_ends_a_burst(rig: Rig) -> None:
    assert rig.play(FAILED, FAILED, FINE, FAILED, FAILED, FINE) == 0
    assert rig.play(FAILED, FAILED, FAILED, FAILED) == 1


def test_patient_retries_are_not_rage(rig: Rig) -> None:
    assert rig.play(*[FAILED] * 20, every_seconds=1.01) == 0


def test_it_is_the_starts_that_lie_close_together(rig: Rig) -> None:
    # Started at once and answered seconds apart, as from a queue.
    waits = [2.0, 4.0, 6.0, 8.0]
    assert rig.play(*[replace(FAILED, duration_seconds=wait) for wait in waits], every_seconds=2.0) == 1


@pytest.mark.parametrize("other", [{"path": "/api/search"}, {"method": "GET"}, {"caller": "ci"}, {"client": "::1"}])
def test_requests_count_together_only_if_they_are_identical(rig: Rig, other: dict[str, str]) -> None:
    assert rig.play(*[FAILED, replace(FAILED, **other)] * 3, every_seconds=0.1) == 0  # type: ignore[arg-type]


def test_users_behind_one_caller_are_told_apart_by_their_client_id(rig: Rig) -> None:
    def as_client(name: str) -> int:
        context.use_client_id(name)
        return rig.play(FAILED, every_seconds=0.1)

    assert sum(copy_context().run(as_client, f"browser-{number}") for number in range(20)) == 0
    assert sum(copy_context().run(as_client, "browser-1") for _ in range(3)) == 1


def test_health_checks_do_not_count(rig: Rig) -> None:
    assert rig.play(*[replace(FAILED, is_user_traffic=False)] * 10) == 0


def test_memory_is_bounded_and_the_longest_silent_are_forgotten(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rage, "MAX_BURSTS", 2)
    one, two, three = (replace(FAILED, path=f"/{number}") for number in range(3))
    assert rig.play(one, one, two, one, three, every_seconds=0.01) == 0
    assert len(rig.detector._bursts) == 2
    assert rig.play(one, every_seconds=0.01) == 1, "it is the second that was forgotten"
    assert rig.play(*[replace(FAILED, path=f"/{number}") for number in range(50)], every_seconds=0.01) == 0
    assert rig.play(*[one] * 3, every_seconds=0.01) == 0, "forgotten"


def test_good_answers_take_no_memory(rig: Rig) -> None:
    rig.play(FAILED, *[replace(FINE, path=f"/{number}") for number in range(50)], FINE)
    assert not rig.detector._bursts
