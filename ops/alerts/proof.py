"""What was measured of an alert that was made to fire, and whether that proves it."""

from __future__ import annotations

import dataclasses
from typing import Any

from ops.alerts.rules import Alert

# From the fault to the page in somebody's hands.
PROMISED_SECONDS = 90.0
# What such an alert may wait for by its own rule: a scrape, two evaluations and the grouping come on top.
_PROMISED_WAIT_SECONDS = 45


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """Seconds from the moment at which the fault had taken effect; `resolved` from the begin of its healing.

    None: it did not happen while it was waited for. `problem` says why the fault could not be caused or healed.
    """

    alert: str
    severity: str
    fault: str
    summary: str
    pending_seconds: float | None = None
    firing_seconds: float | None = None
    page_seconds: float | None = None
    resolved_seconds: float | None = None
    problem: str = ""
    is_lasting: bool = False

    @property
    def held(self) -> bool:
        """Whether it was told, and was over unless that takes too long to be waited for."""
        is_over = self.resolved_seconds is not None or self.is_lasting
        return not self.problem and self.page_seconds is not None and is_over

    def reason(self) -> str:
        """Why it did not hold, in a few words."""
        if self.problem:
            return self.problem
        if self.firing_seconds is None:
            return "did not fire"
        return "was not told" if self.page_seconds is None else "was not over"


def is_promised(alert: Alert) -> bool:
    """Whether a page about it shall be there within PROMISED_SECONDS: it wakes somebody, of what is sudden."""
    return alert.is_page and alert.waits_seconds <= _PROMISED_WAIT_SECONDS


def as_json(found: Proof) -> dict[str, Any]:
    """For scripts and for the documents."""
    return dataclasses.asdict(found)
