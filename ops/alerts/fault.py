"""A fault that alerts are about: how it is caused and healed, and on which kinds of stacks."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType

from ops.alerts.scene import Scene

# Entering it causes the fault, leaving it heals it, whatever happened in between.
Act = Callable[[Scene], AbstractContextManager[None]]


class Kind(enum.StrEnum):
    """Where a fault can be caused: a stack on one node, or a cluster on a lab."""

    SINGLE = "one node"
    LAB = "lab"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """`alerts` are those that it makes fire; of each an instance with all of `labels` must.

    `patience_seconds` is for the last of their pages, from the moment at which the fault has taken effect. `lasting`
    are those that look back for so long that nobody waits for their end.
    """

    name: str
    summary: str
    alerts: tuple[str, ...]
    act: Act
    kinds: frozenset[Kind] = frozenset({Kind.SINGLE})
    labels: Mapping[str, str] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    patience_seconds: float = 240.0
    lasting: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """What is done at once: `lanes` side by side, the faults of a lane one after the other.

    A fault is healed as soon as its alerts were told. In one round there is no critical alert about a service of whose
    warnings another fault has one: Alertmanager would keep the warning to itself. `is_long` rounds are done on request.
    """

    name: str
    lanes: tuple[tuple[Fault, ...], ...]
    is_long: bool = False

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All of them."""
        return tuple(fault for lane in self.lanes for fault in lane)
