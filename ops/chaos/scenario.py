"""A scenario: what is broken, and what is asked of the stack while it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ops.chaos.goals import LIMITS, Kind
from ops.chaos.stage import Stage


def _nothing(_: Stage) -> None:
    """For what cannot be done."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """`act` does it and returns when it is time to heal; the stage heals. `unavailable` says why it cannot be done.

    `limits` come on top of the kind's; `without` are figures of the kind that it says nothing about.
    """

    name: str
    summary: str
    kind: Kind
    act: Callable[[Stage], None] = _nothing
    limits: Mapping[str, float] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    without: frozenset[str] = frozenset()
    unavailable: str = ""
    # Faults of nodes and networks; a stack on this machine alone has none to lose.
    needs_lab: bool = True

    @property
    def asked(self) -> dict[str, float]:
        """The limits in force."""
        kept = {name: limit for name, limit in LIMITS[self.kind].items() if name not in self.without}
        return {**kept, **self.limits}
