"""What the mechanisms report. Metrics, statistics and logs subscribe; no mechanism imports them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class BreakerState(IntEnum):
    """The numbers are those of the metric pidea_circuit_breaker_state."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """A request came in."""


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """The last byte of the answer was handed to the server, or the client went away."""

    method: str
    path: str
    route: str
    status: int
    duration_seconds: float
    client: str
    cache: str | None
    # False for health checks and scrapes, which would drown the figures of real users.
    is_user_traffic: bool


@dataclass(frozen=True, slots=True)
class CacheLookedUp:
    """Redis answered a lookup."""

    hit: bool


@dataclass(frozen=True, slots=True)
class CacheFailed:
    """A cache operation did not work; the request went on without it."""

    operation: str
    error: str


@dataclass(frozen=True, slots=True)
class ReadShared:
    """A read joined an identical one that was already running."""


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A circuit breaker went to another state."""

    dependency: str
    state: BreakerState


Event = RequestStarted | RequestFinished | CacheLookedUp | CacheFailed | ReadShared | BreakerChanged
Listener = Callable[[Event], None]


def fan_out(*listeners: Listener) -> Listener:
    """One listener that hands each event to all, in order."""

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return emit
