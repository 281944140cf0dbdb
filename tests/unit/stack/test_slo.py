"""What is said of promises, and when a spent budget holds a deployment."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import pytest

from ops.errors import DeployError
from ops.stack import slo
from ops.stack.metrics import MetricsError, Sample
from ops.stack.slo import Promise

HEALTHY = Promise(
    name="availability",
    target=0.999,
    period_days=28,
    minimum_failures=5.0,
    requests=10_000.0,
    failures=4.0,
    remaining_ratio=0.6,
    burn_rates={"1h": 0.0, "6h": 0.4, "3d": None},
)


class Recorded:
    """A Prometheus that has recorded these promises, and says so in the series of the rules."""

    def __init__(self, *promises: Promise) -> None:
        self.series: dict[str, list[Sample]] = {"slo:period:days": [({}, 28.0)] if promises else []}
        for promise in promises:
            values: Mapping[str, float | None] = {
                "slo:objective:ratio": promise.target,
                "slo:minimum_failures:count": promise.minimum_failures,
                "slo:requests:increase_period": promise.requests,
                "slo:failures:increase_period": promise.failures,
                "slo:error_budget_remaining:ratio": promise.remaining_ratio,
                **{
                    f"slo:failures:ratio_rate{window}": None if rate is None else rate * (1 - promise.target)
                    for window, rate in promise.burn_rates.items()
                },
            }
            for name, value in values.items():
                if value is not None:
                    self.series.setdefault(name, []).append(({"slo": promise.name, "service": "edge"}, value))

    def __call__(self, query: str) -> Sequence[Sample]:
        return self.series.get(query, [])


def spent(**changed: object) -> Promise:
    return dataclasses.replace(HEALTHY, **{"remaining_ratio": 0.0, "failures": 10.0, **changed})  # type: ignore[arg-type]


def test_what_was_recorded_is_what_is_said() -> None:
    (found,) = slo.promises(Recorded(HEALTHY))
    rates = found.burn_rates
    assert dataclasses.replace(found, burn_rates=HEALTHY.burn_rates) == HEALTHY
    assert (rates["1h"], rates["3d"]) == (0.0, None)
    assert rates["6h"] == pytest.approx(0.4)
    assert found.as_json()["is_spent"] is False


def test_nothing_recorded_is_an_error_and_not_a_kept_promise() -> None:
    with pytest.raises(MetricsError, match="no objective yet"):
        slo.promises(Recorded())


def test_no_traffic_leaves_the_budget_unknown() -> None:
    quiet = dataclasses.replace(HEALTHY, requests=0.0, failures=0.0, remaining_ratio=None)
    recorded = Recorded(quiet)
    recorded.series["slo:error_budget_remaining:ratio"] = [({"slo": "availability"}, math.nan)]
    (found,) = slo.promises(recorded)
    assert (found.remaining_ratio, found.is_spent) == (None, False)


@pytest.mark.parametrize(
    "promise", [HEALTHY, spent(failures=5.0), spent(remaining_ratio=0.01), spent(remaining_ratio=None)]
)
def test_what_is_not_spent_holds_nothing(promise: Promise) -> None:
    slo.guard(Recorded(promise), force=False)


@pytest.mark.parametrize("promise", [spent(), spent(remaining_ratio=-3.0)])
def test_a_spent_budget_holds_a_deployment_until_somebody_insists(
    promise: Promise, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeployError) as caught:
        slo.guard(Recorded(dataclasses.replace(HEALTHY, name="writes"), promise), force=False)
    first, line, last = str(caught.value).splitlines()
    assert first == "Nothing was touched, because an error budget is spent:"
    assert line == "availability: 0.100% of 10000 requests in 28 days broke it, 0.100% may"
    assert "--force" in last
    slo.guard(Recorded(promise), force=True)
    assert "going on, by --force, although the budget is spent of availability" in "".join(capsys.readouterr())


def test_a_prometheus_that_does_not_answer_holds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def ask(query: str) -> Sequence[Sample]:
        raise MetricsError("Prometheus of prod cannot be asked: refused")

    slo.guard(ask, force=False)
    assert "error budgets are not known" in "".join(capsys.readouterr())
