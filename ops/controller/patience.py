"""When a decision may be carried out: Sentinel, which heals much by itself, has its time first. Pure, clock given."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ops.controller.decision import Decision, Repair


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waits:
    """The same must be seen `looks` times in a row and for so many seconds; `cooldown_seconds` lie between repeats."""

    looks: int
    seconds: float
    promote_seconds: float
    cooldown_seconds: float


class Patience:
    """Remembers since when each repair has been called for, and when one was last made."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        # The decision → when it was first seen, and in how many looks since.
        self._standing: dict[Decision, tuple[float, int]] = {}
        self._made_at: dict[tuple[str, ...], float] = {}

    def ripe(self, decisions: Sequence[Decision], now: float) -> Decision | None:
        """The first repair that has stood long enough. A decision that is not in `decisions` starts anew next time."""
        standing = {}
        for decision in decisions:
            if decision.repair is not None:
                # What it says in words may change, an offset in it for example.
                key = dataclasses.replace(decision, reason="")
                since, looks = self._standing.get(key, (now, 0))
                standing[key] = (since, looks + 1)
        self._standing = standing
        for decision in decisions:
            if decision.repair is not None and self._is_ripe(decision, now):
                return decision
        return None

    def made(self, decision: Decision, now: float) -> None:
        """It has been tried. Whatever else stands must be seen anew: the repair may have changed it."""
        self._made_at[_place(decision)] = now
        self._standing = {}

    def _is_ripe(self, decision: Decision, now: float) -> bool:
        since, looks = self._standing[dataclasses.replace(decision, reason="")]
        seconds = self._waits.promote_seconds if decision.repair is Repair.PROMOTE else self._waits.seconds
        made_at = self._made_at.get(_place(decision))
        is_cool = made_at is None or now - made_at >= self._waits.cooldown_seconds
        return looks >= self._waits.looks and now - since >= seconds and is_cool


def _place(decision: Decision) -> tuple[str, ...]:
    """What is not repeated so soon. Sentinels are made to forget one at a time, whichever it is."""
    assert decision.repair is not None  # noqa: S101 - only repairs get here
    return (decision.repair,) if decision.repair is Repair.RESET else (decision.repair, *decision.subjects)
