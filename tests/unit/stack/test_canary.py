"""A canary is taken back for what its own requests show against those of the others, and for nothing else."""

from __future__ import annotations

import math
import re

import pytest

from ops.stack.canary import Measured, measure, objection


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
