"""A canary is taken back for what its own requests show against those of the others, and for nothing else."""

from __future__ import annotations

import math
import re
import time

import pytest

from ops.host import endpoint
from ops.stack.canary import Measured, Watch, measure, objection


def measured(requests: float = 500.0, error_ratio: float = 0.0, p95_seconds: float = 0.02) -> Measured:
    return Measured(requests=requests, error_ratio=error_ratio, p95_seconds=p95_seconds)


@pytest.mark.parametrize(
    ("canary", "others"),
    [
        (measured(), measured()),
        (measured(requests=19, error_ratio=1.0), measured()),
        (measured(error_ratio=0.02), measured()),
        (measured(error_ratio=0.14), measured(error_ratio=0.05)),
        (measured(p95_seconds=0.25), measured(p95_seconds=0.001)),
        (measured(p95_seconds=0.9), measured(p95_seconds=0.31)),
        (measured(), measured(requests=0)),
    ],
)
def test_what_is_no_worse_goes_on(canary: Measured, others: Measured) -> None:
    assert objection(canary, others) is None


@pytest.mark.parametrize(
    ("canary", "others", "said"),
    [
        (measured(error_ratio=0.021), measured(), r"fails 2\.1% of its 500 requests, the old one 0\.0%"),
        (measured(error_ratio=0.16), measured(error_ratio=0.05), r"fails 16\.0%"),
        (
            measured(p95_seconds=0.3),
            measured(p95_seconds=0.02),
            "needs 300 ms at the 95th percentile, the old one 20 ms",
        ),
        (measured(error_ratio=1.0, requests=20), measured(requests=0), r"fails 100\.0% of its 20 requests"),
    ],
)
def test_what_is_worse_is_taken_back_with_the_figures(canary: Measured, others: Measured, said: str) -> None:
    assert re.search(said, objection(canary, others) or "")


def test_only_the_replicas_in_question_are_asked_about() -> None:
    asked: list[str] = []

    def ask(query: str) -> list[tuple[dict[str, str], float]]:
        asked.append(query)
        return [({}, 5.0 if 'status=~"5.."' in query else 50.0)]

    found = measure(ask, ["10.0.3.7", "10.0.2.7"], 30)
    assert (found.requests, found.error_ratio) == (50.0, 0.1)
    assert all(r'instance=~"(10\\.0\\.2\\.7|10\\.0\\.3\\.7):.*"' in query and "[30s]" in query for query in asked)


def test_replicas_without_requests_have_no_figures() -> None:
    assert measure(lambda _: [], ["10.0.3.7"], 30) == measured(requests=0, error_ratio=0, p95_seconds=0)
    assert measure(lambda _: [({}, math.nan)], ["10.0.3.7"], 30).p95_seconds == 0
    assert measure(lambda _: pytest.fail("there is nobody to ask about"), [], 30).requests == 0


BEFORE = {"State": "rollback_completed", "StartedAt": "1", "Message": "rollback completed"}


class Updates(Watch):
    """A watch to which Swarm says one thing after the other, the last of them for good."""

    def __init__(self, before: dict[str, str], *said: dict[str, str]) -> None:
        super().__init__(endpoint.resolve, "app", lambda _: [], 30)
        self._before = before
        self._said = list(said)

    def _update(self) -> dict[str, str]:
        return self._said.pop(0) if len(self._said) > 1 else self._said[0]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


@pytest.mark.parametrize("before", [{}, BEFORE])
def test_an_update_is_seen_through_to_its_end(before: dict[str, str]) -> None:
    updating = {"State": "updating", "StartedAt": "2"}
    back = {"State": "rollback_started", "StartedAt": "2"}
    first: list[dict[str, str]] = [{}] if before else []
    assert Updates(before, *first, updating, updating, {**updating, "State": "completed"}).see_through(60) is None
    ended = {"State": "rollback_completed", "StartedAt": "2", "Message": "update rolled back"}
    assert Updates(before, *first, updating, back, ended).see_through(60) == "update rolled back"


@pytest.mark.parametrize("before", [{}, BEFORE])
def test_what_an_earlier_update_came_to_is_no_objection(before: dict[str, str]) -> None:
    assert Updates(before, before).see_through(60) is None


def test_an_update_without_end_is_said() -> None:
    found = Updates(BEFORE, {"State": "updating", "StartedAt": "2"}).see_through(0.05)
    assert found == "its update is not through after 0 s"
