"""What travels with a request through every layer: who asks, what is switched on for them, how long they wait.

Context variables rather than arguments: single flights, cache tiers and drivers stand between the route and the
dependency, and none of them should have to hand on what only its neighbours need.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variant:
    """Which optimisations are on for a client. Writes invalidate every tier whatever the variant says."""

    name: str
    l1: bool = True
    l2: bool = True
    l3: bool = True
    dedup: bool = True
    breaker: bool = True


OPTIMISED = Variant("optimised")
BASELINE = Variant("baseline", l1=False, l2=False, l3=False, dedup=False, breaker=False)

_variant: ContextVar[Variant] = ContextVar("variant", default=OPTIMISED)
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_caller: ContextVar[str] = ContextVar("caller", default="")
_client_id: ContextVar[str] = ContextVar("client_id", default="")


def variant() -> Variant:
    """The variant of the current request; OPTIMISED outside of requests."""
    return _variant.get()


def use_variant(chosen: Variant) -> None:
    """Set the variant for the rest of this task and the tasks that it starts."""
    _variant.set(chosen)


def caller() -> str:
    """The name of the authenticated client of the current request; empty where there is none."""
    return _caller.get()


def use_caller(name: str) -> None:
    """Set the authenticated client for the rest of this task and the tasks that it starts."""
    _caller.set(name)


def client_id() -> str:
    """What the client calls itself in X-Client-Id: one of many users behind a caller; empty where it says nothing."""
    return _client_id.get()


def use_client_id(name: str) -> None:
    """Set what the client calls itself for the rest of this task and the tasks that it starts."""
    _client_id.set(name)


def remaining_seconds() -> float:
    """How long the current request may still take; infinite without a deadline, never negative."""
    deadline = _deadline.get()
    return float("inf") if deadline is None else max(0.0, deadline - time.monotonic())


def use_deadline(seconds: float | None) -> None:
    """Give the rest of this task, and the tasks that it starts, `seconds` from now; None: no deadline."""
    _deadline.set(None if seconds is None else time.monotonic() + seconds)
