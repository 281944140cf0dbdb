"""What the mechanisms report. Metrics, statistics and logs subscribe; no mechanism imports them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Tier = Literal["l1", "l2", "l3"]
Source = Literal["l1", "l2", "l3", "origin"]
Outcome = Literal["ok", "failed", "timeout", "rejected"]
ShedReason = Literal["overload", "rate_limit", "authentication"]


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
    # The network address, and the authenticated name; the second is empty where nobody had to say who they are.
    client: str
    caller: str
    variant: str
    # Where a cached read came from (the X-Cache header): l1, l2, l3, origin; None for other requests.
    cache: str | None
    # False for health checks and scrapes, which would drown the figures of real users.
    is_user_traffic: bool


@dataclass(frozen=True, slots=True)
class RequestShed:
    """A request was refused before any work was done for it."""

    reason: ShedReason


@dataclass(frozen=True, slots=True)
class TierLookedUp:
    """A tier of the cache answered a lookup (a tier that failed reports CacheFailed instead)."""

    tier: Tier
    hit: bool
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class ReadServed:
    """A cached read was answered from `source`; `shared` when another caller's work gave the answer."""

    source: Source
    shared: bool
    stale: bool


@dataclass(frozen=True, slots=True)
class CacheFailed:
    """A cache operation did not work; the request went on without it."""

    tier: Tier
    operation: str
    error: str


@dataclass(frozen=True, slots=True)
class CacheInvalidated:
    """A group was dropped here, because of a write of this replica (`remote` False) or of another (True)."""

    remote: bool


@dataclass(frozen=True, slots=True)
class CacheRefreshed:
    """An entry was loaded anew in the background, before it expired."""


@dataclass(frozen=True, slots=True)
class ReadShared:
    """A read joined an identical one: in this process, or (`across_replicas`) in another one."""

    across_replicas: bool = False


@dataclass(frozen=True, slots=True)
class DedupRefused:
    """A read went on alone: too many flights in the air, or the one it waited for took too long."""

    reason: Literal["full", "timeout"]


@dataclass(frozen=True, slots=True)
class IdempotentReplay:
    """A write with a known Idempotency-Key was answered with the stored response."""


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A circuit breaker went to another state."""

    dependency: str
    state: BreakerState


@dataclass(frozen=True, slots=True)
class DependencyCalled:
    """A guarded call of a dependency ended. `rejected`: refused by the breaker or the bulkhead, never tried."""

    dependency: str
    operation: str
    outcome: Outcome
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class DependencyRetried:
    """A failed call is tried again; `within_budget` False: it was not, because the budget is used up."""

    dependency: str
    within_budget: bool


@dataclass(frozen=True, slots=True)
class FeedbackGiven:
    """A user rated the service from 1 (bad) to 5 (good)."""

    score: int


@dataclass(frozen=True, slots=True)
class WebVitalReported:
    """A browser measured a web vital; seconds, except for cls, which has no unit."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class RageRetried:
    """A client repeated the same request so fast and so often that somebody must be angry."""


Event = (
    RequestStarted
    | RequestFinished
    | RequestShed
    | TierLookedUp
    | ReadServed
    | CacheFailed
    | CacheInvalidated
    | CacheRefreshed
    | ReadShared
    | DedupRefused
    | IdempotentReplay
    | BreakerChanged
    | DependencyCalled
    | DependencyRetried
    | FeedbackGiven
    | WebVitalReported
    | RageRetried
)
Listener = Callable[[Event], None]


def fan_out(*listeners: Listener) -> Listener:
    """One listener that hands each event to all, in order."""

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return emit
