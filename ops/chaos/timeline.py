"""A run second by second: who had which role, what was written, what failed. Pure; small enough to be kept."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from ops.chaos.records import Observation, Outcome, Request, Sample, Write

# A member that nobody has seen for longer has no role.
UNSEEN_SECONDS = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """A member's role from `begin` to `end`, in seconds from the run's begin."""

    member: str
    role: str
    begin: float
    end: float


def roles(samples: Iterable[Sample], start: float) -> list[Span]:
    """Each member's roles, whoever saw them."""
    seen: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for sample in samples:
        at = sample.at - start
        for member, told in sample.redis.items():
            role = str(told.get("role", ""))
            seen[member].append((at, "primary without replicas" if _is_alone(told) else role))
        for member, role in sample.postgres.items():
            seen[member].append((at, role))
        for member, named in sample.sentinels.items():
            seen[member].append((at, f"names {named}"))
    return [span for member in sorted(seen) for span in _spans(member, sorted(seen[member]))]


def _is_alone(told: Any) -> bool:
    return told.get("role") == "master" and not told.get("writable")


def _spans(member: str, moments: Sequence[tuple[float, str]]) -> list[Span]:
    found: list[Span] = []
    for at, role in moments:
        last = found[-1] if found else None
        if last is not None and last.role == role and at - last.end <= UNSEEN_SECONDS:
            found[-1] = dataclasses.replace(last, end=at)
        else:
            found.append(Span(member=member, role=role, begin=at, end=at))
    return found


def requests(items: Iterable[Request], start: float) -> list[dict[str, Any]]:
    """For each client and second: how many requests, how many failed, median and slowest in milliseconds."""
    cells: dict[tuple[str, int], list[Request]] = defaultdict(list)
    for item in items:
        cells[item.client, int(item.at - start)].append(item)
    return [
        {
            "client": client,
            "second": second,
            "requests": len(found),
            "failed": sum(item.failed for item in found),
            "p50_ms": round(1000 * sorted(item.seconds for item in found)[len(found) // 2], 1),
            "max_ms": round(1000 * max(item.seconds for item in found), 1),
        }
        for (client, second), found in sorted(cells.items())
    ]


def writes(items: Iterable[Write], start: float) -> list[dict[str, Any]]:
    """For each store, node and second: how many writes had which outcome."""
    cells: dict[tuple[str, int, int], list[Write]] = defaultdict(list)
    for item in items:
        cells[item.store, item.slot, int(item.at - start)].append(item)
    return [
        {
            "store": store,
            "slot": slot,
            "second": second,
            **{str(outcome): sum(item.outcome is outcome for item in found) for outcome in Outcome},
        }
        for (store, slot, second), found in sorted(cells.items())
    ]


def errors(seen: Observation) -> dict[str, int]:
    """How often which error was seen, by who saw it."""
    counted: dict[str, int] = defaultdict(int)
    for request in seen.requests:
        if request.failed:
            counted[f"{request.client}: {request.error}"] += 1
    for write in seen.writes:
        if write.outcome is Outcome.FAILED:
            counted[f"{write.store} on node {write.slot}: {write.error}"] += 1
    return dict(sorted(counted.items(), key=lambda item: -item[1])[:40])


def of(seen: Observation) -> dict[str, Any]:
    """All of it, for JSON and for the page."""
    fault = seen.fault
    return {
        "seconds": round(seen.end - seen.begin, 2),
        "fault": {
            "what": fault.what,
            "begin": round(fault.begin - seen.begin, 2),
            "end": round(fault.end - seen.begin, 2),
            "recovered": None if fault.recovered is None else round(fault.recovered - seen.begin, 2),
            "nodes": list(fault.slots),
        },
        "roles": [
            {"member": span.member, "role": span.role, "begin": round(span.begin, 2), "end": round(span.end, 2)}
            for span in roles(seen.samples, seen.begin)
        ],
        "requests": requests(seen.requests, seen.begin),
        "writes": writes(seen.writes, seen.begin),
        "errors": errors(seen),
    }
