"""How the stack keeps its promises: budgets and burn rates, as its Prometheus recorded them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

from ops import console
from ops.errors import DeployError
from ops.stack.metrics import Ask, MetricsError

WINDOWS: Final = ("1h", "6h", "3d")
_FORCE = "Make it reliable before it changes again, or deploy the repair with --force."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Promise:
    """An objective and how it fares. Ratios are of requests; None where there were none.

    `remaining_ratio` is 1 while the error budget of the period is untouched, 0 when it is spent, below 0 after that.
    `burn_rates` say how many times as fast as allowed it is spent in each window.
    """

    name: str
    target: float
    period_days: int
    minimum_failures: float
    requests: float
    failures: float
    remaining_ratio: float | None
    burn_rates: dict[str, float | None]

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left. A few failed requests at low traffic are no judgement."""
        return self.remaining_ratio is not None and self.remaining_ratio <= 0 and self.failures > self.minimum_failures

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {**dataclasses.asdict(self), "is_spent": self.is_spent}


def promises(ask: Ask) -> Sequence[Promise]:
    """Every promise of the stack, in the order of their names. Raises MetricsError."""
    days = ask("slo:period:days")
    targets = _by_name(ask, "slo:objective:ratio")
    if not days or not targets:
        raise MetricsError("Prometheus has recorded no objective yet; it needs half a minute after a first start.")
    found = {
        name: _by_name(ask, f"slo:{name}")
        for name in (
            *("minimum_failures:count", "requests:increase_period", "failures:increase_period"),
            *("error_budget_remaining:ratio", *(f"failures:ratio_rate{window}" for window in WINDOWS)),
        )
    }
    return [
        Promise(
            name=name,
            target=target,
            period_days=int(days[0][1]),
            minimum_failures=found["minimum_failures:count"].get(name, 0.0),
            requests=found["requests:increase_period"].get(name, 0.0),
            failures=found["failures:increase_period"].get(name, 0.0),
            remaining_ratio=found["error_budget_remaining:ratio"].get(name),
            burn_rates={window: _burn(found[f"failures:ratio_rate{window}"].get(name), target) for window in WINDOWS},
        )
        for name, target in sorted(targets.items())
    ]


def guard(ask: Ask, *, force: bool) -> None:
    """Raises DeployError where an error budget is spent: every change risks more of what is left of users' patience.

    What cannot be asked objects to nothing: the deployment may be what repairs it.
    """
    try:
        spent = [promise for promise in promises(ask) if promise.is_spent]
    except MetricsError as error:
        console.say(f"  error budgets are not known: {error}")
        return
    lines = [
        f"{promise.name}: {promise.failures / promise.requests:.3%} of {promise.requests:.0f} requests in "
        f"{promise.period_days} days broke it, {1 - promise.target:.3%} may"
        for promise in spent
    ]
    if lines and not force:
        raise DeployError("\n".join(["Nothing was touched, because an error budget is spent:", *lines, _FORCE]))
    for line in lines:
        console.say(f"  going on, by --force, although the budget is spent of {line}")


def _burn(failed_ratio: float | None, target: float) -> float | None:
    return None if failed_ratio is None else failed_ratio / (1 - target)


def _by_name(ask: Ask, query: str) -> dict[str, float]:
    return {labels.get("slo", ""): value for labels, value in ask(query) if not math.isnan(value)}
