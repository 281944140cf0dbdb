"""The figures of a run, what is asked of them, and the verdict. Pure."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ops.chaos import checks
from ops.chaos.gaps import write_gap
from ops.chaos.records import Observation, Request, Store

# From then on after a fault's begin nothing may fail any more at an edge that is still there.
CALM_AFTER_SECONDS = 15.0
RECOVERY_SECONDS = 60.0


class Kind(enum.StrEnum):
    """What was lost decides what is asked."""

    KILL = "kill"
    NODE_LOSS = "node loss"
    PARTITION = "partition"
    PLANNED = "planned"
    # More than the stack promises to work through: only what it must not lose, and that it comes back.
    MORE = "more than one failure"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure's name for people, its unit, and the digits that mean something."""

    title: str
    unit: str = ""
    digits: int = 0


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "lost_messages": Figure(title="acknowledged chat messages lost"),
        "duplicate_messages": Figure(title="chat messages stored twice"),
        "lost_postgres_writes": Figure(title="acknowledged PostgreSQL writes lost"),
        "lost_redis_writes": Figure(title="acknowledged Redis writes (WAIT 1) lost"),
        "lost_sticky_writes": Figure(title="Redis writes without WAIT lost"),
        "isolated_seconds": Figure(title="an isolated Redis primary took writes for", unit="s", digits=2),
        "isolated_writes": Figure(title="writes that an isolated Redis primary took"),
        "redis_gap_seconds": Figure(title="Redis write gap", unit="s", digits=2),
        "postgres_gap_seconds": Figure(title="PostgreSQL write gap", unit="s", digits=2),
        "two_primaries": Figure(title="samples with two primaries that one client could write to"),
        "two_writers": Figure(title="times that two servers acknowledged writes in turn"),
        "requests": Figure(title="requests at the edges"),
        "failed_any_edge": Figure(title="failed requests of clients that know every edge"),
        "failed_any_edge_percent": Figure(title="the same, of all of theirs", unit="%", digits=3),
        "failed_surviving_edges": Figure(title="failed requests at edges that are still there"),
        "failed_surviving_edges_percent": Figure(title="the same, of all of theirs", unit="%", digits=3),
        "failed_when_calm": Figure(title=f"failed there later than {CALM_AFTER_SECONDS:.0f} s after the fault's begin"),
        "p99_ms": Figure(title="p99 of the requests at edges that are still there", unit="ms"),
        "max_ms": Figure(title="slowest request there", unit="ms"),
        "recovery_seconds": Figure(title="recovery after the fault's end", unit="s", digits=1),
    }
)

_NEVER = {
    "lost_messages": 0.0,
    "duplicate_messages": 0.0,
    "lost_postgres_writes": 0.0,
    "lost_redis_writes": 0.0,
    "two_primaries": 0.0,
    "two_writers": 0.0,
    "recovery_seconds": RECOVERY_SECONDS,
}
LIMITS: Mapping[Kind, Mapping[str, float]] = MappingProxyType(
    {
        Kind.KILL: {**_NEVER, "redis_gap_seconds": 3.0, "postgres_gap_seconds": 8.0},
        Kind.NODE_LOSS: {
            **_NEVER,
            "redis_gap_seconds": 4.0,
            "postgres_gap_seconds": 15.0,
            "failed_surviving_edges_percent": 0.1,
            "failed_when_calm": 0.0,
        },
        Kind.PARTITION: {
            **_NEVER,
            "redis_gap_seconds": 4.0,
            "postgres_gap_seconds": 15.0,
            "isolated_seconds": 3.0,
            "failed_surviving_edges_percent": 0.1,
            "failed_when_calm": 0.0,
        },
        Kind.PLANNED: {
            **_NEVER,
            "redis_gap_seconds": 0.5,
            "postgres_gap_seconds": 2.0,
            "failed_any_edge": 0.0,
            "failed_surviving_edges": 0.0,
        },
        Kind.MORE: _NEVER,
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """`figures` as measured (None: not measured), the `limits` that applied, and every reason why it did not hold."""

    figures: Mapping[str, float | None]
    limits: Mapping[str, float]
    reasons: tuple[str, ...]

    @property
    def held(self) -> bool:
        """Whether everything that was asked for was the case."""
        return not self.reasons


def figures(seen: Observation) -> dict[str, float | None]:
    """Every figure of a run, by its name in FIGURES."""
    fault = seen.fault
    until = min(seen.end, fault.recovered if fault.recovered is not None else seen.end)
    alive = seen.survivors
    redis, sticky, postgres = seen.of(Store.REDIS), seen.of(Store.STICKY), seen.of(Store.POSTGRES)
    taken = fault.begin if fault.taken is None else fault.taken
    cut = checks.isolated(sticky, fault.slots, taken, seen.stored_redis)
    anywhere = [item for item in seen.requests if item.client == "any"]
    there = [item for item in seen.requests if item.client != "any" and item.edge in alive]
    calm = [item for item in there if item.at > fault.begin + CALM_AFTER_SECONDS]
    known = set(seen.stored_redis)
    return {
        "lost_messages": len(checks.lost_messages(seen.requests, seen.stored_messages)),
        "duplicate_messages": len(checks.duplicates(seen.stored_messages)),
        "lost_postgres_writes": len(checks.lost(postgres, seen.stored_postgres)),
        "lost_redis_writes": len(checks.lost(redis, seen.stored_redis)),
        "lost_sticky_writes": sum(write.outcome.value == "accepted" and write.id not in known for write in sticky),
        "isolated_seconds": cut.seconds if fault.slots else None,
        "isolated_writes": cut.writes if fault.slots else None,
        "redis_gap_seconds": write_gap(redis, fault.begin, until, alive),
        "postgres_gap_seconds": write_gap(postgres, fault.begin, until, alive),
        "two_primaries": len(checks.two_primaries(seen.samples)),
        "two_writers": len(checks.interleaved(redis)) + len(checks.interleaved(postgres)),
        "requests": len(seen.requests),
        "failed_any_edge": _failed(anywhere),
        "failed_any_edge_percent": _percent(anywhere),
        "failed_surviving_edges": _failed(there),
        "failed_surviving_edges_percent": _percent(there),
        "failed_when_calm": _failed(calm),
        "p99_ms": _quantile_ms(there, 0.99),
        "max_ms": _quantile_ms(there, 1.0),
        "recovery_seconds": None if fault.recovered is None else max(0.0, fault.recovered - fault.end),
    }


def judge(seen: Observation, limits: Mapping[str, float]) -> Verdict:
    """Compares with `limits`. What was to be measured and was not is no success."""
    found = figures(seen)
    reasons = [seen.error] if seen.error else []
    for name, limit in limits.items():
        value, figure = found[name], FIGURES[name]
        if value is None:
            reasons.append(f"{figure.title}: not measured, at most {shown(name, limit)} is asked")
        elif value > limit:
            reasons.append(f"{figure.title}: {shown(name, value)}, at most {shown(name, limit)} is asked")
    return Verdict(figures=found, limits=limits, reasons=(*reasons, *seen.violations))


def shown(name: str, value: float | None) -> str:
    """A figure for people, with its unit."""
    if value is None:
        return "–"
    figure = FIGURES[name]
    return f"{value:,.{figure.digits}f}{f' {figure.unit}' if figure.unit else ''}"


def _failed(requests: Sequence[Request]) -> int:
    return sum(item.failed for item in requests)


def _percent(requests: Sequence[Request]) -> float | None:
    return 100 * _failed(requests) / len(requests) if requests else None


def _quantile_ms(requests: Sequence[Request], share: float) -> float | None:
    ordered = sorted(item.seconds for item in requests)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
