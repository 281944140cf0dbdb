"""What the benchmark of backups found: the table for people and for `docs/backups.md`, and whether it is enough."""

from __future__ import annotations

import dataclasses
import datetime
import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ops import paths
from ops.bench.measure import Phase
from ops.bench.report import table

DOCUMENT = paths.REPO / "docs" / "backups.md"
MARKER = "backup"
# What is asked of the platform: a stack of 1 GiB is whole again on 2 processors, and users do not feel a backup.
MOST_RESTORE_SECONDS, MOST_P99_RATIO = 300.0, 1.5
_BOTH = ("postgres", "redis")
# What is compared with what, by the names that the measurements have, and of which servers.
_ROWS = (
    ("first backup", "first", "dump", _BOTH),
    ("– of PostgreSQL", "first", "dump", ("postgres",)),
    ("– of Redis, and each further one", "first", "dump", ("redis",)),
    ("PostgreSQL after 1 % of the rows changed: the newest chats", "newest", "dump", ("postgres",)),
    ("PostgreSQL after 1 % of the rows changed: all over the table", "scattered", "dump", ("postgres",)),
    ("restore made ready, beside what runs", "prepare", "read back", _BOTH),
    ("restore, the whole commands", "restore", "read back", _BOTH),
    ("– of PostgreSQL", "restore", "read back", ("postgres",)),
    ("– of Redis", "restore", "read back", ("redis",)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one action. `size_bytes` is what it stored or brought back, where that was looked at."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    size_bytes: float | None = None

    def __add__(self, other: Cost) -> Cost:
        sizes = (self.size_bytes, other.size_bytes)
        return Cost(
            seconds=self.seconds + other.seconds,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            size_bytes=sum(size for size in sizes if size is not None) if sizes != (None, None) else None,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """What users had of the edge. The percentiles are medians over several loads: on a shared machine a disk that is
    slow for a moment spoils one of them, not the figure."""

    requests: int
    failed: int
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, loads: Sequence[Phase]) -> Served:
        """Of steady loads of the same kind."""
        return cls(
            requests=sum(load.requests for load in loads),
            failed=sum(load.failed_reads + load.failed_writes for load in loads),
            p50_ms=statistics.median(load.p50_ms for load in loads),
            p99_ms=statistics.median(load.p99_ms for load in loads),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """Everything. `costs` has a value of each round, by what was done and to which server: `first postgres`.

    `served` is without backups and during them, `load` the machine's before.
    """

    postgres_bytes: int
    redis_bytes: int
    rounds: int
    load: float
    costs: Mapping[str, Sequence[Cost]]
    served: tuple[Served, Served]

    @property
    def restore_seconds(self) -> float:
        """From the command to a stack that is whole, PostgreSQL and then Redis."""
        return self.median("restore", _BOTH).seconds

    def median(self, kind: str, servers: Sequence[str]) -> Cost:
        """Of each server's rounds, added up."""
        return sum((_median(self.costs[f"{kind} {server}"]) for server in servers), Cost())

    @property
    def p99_ratio(self) -> float:
        """During backups to without."""
        return self.served[1].p99_ms / self.served[0].p99_ms

    @property
    def is_enough(self) -> bool:
        """Whether it is what was asked for."""
        return self.restore_seconds <= MOST_RESTORE_SECONDS and self.p99_ratio <= MOST_P99_RATIO

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {**dataclasses.asdict(self), "restore_seconds": self.restore_seconds, "p99_ratio": self.p99_ratio}


def page(bench: Bench) -> str:
    """The generated part of the page."""
    return "\n\n".join((_conditions(bench), _costs(bench), _serving(bench), _verdict(bench)))


def _conditions(bench: Bench) -> str:
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"`./pidea bench backup --write`, {today:%Y-%m-%d}: {bench.postgres_bytes / 2**20:,.0f} MiB in PostgreSQL, "
        f"{bench.redis_bytes / 2**20:,.0f} MiB in Redis, {bench.rounds} round{'s' if bench.rounds > 1 else ''}, "
        f"{os.cpu_count()} processors for everything, with a load of {bench.load:.1f} before. Medians."
    )


def _costs(bench: Bench) -> str:
    header = ("", "s", "MiB", "CPU s", "yardstick: s", "MiB", "CPU s", "ratio: s", "MiB", "CPU")
    return table(
        header,
        [
            (title, *_compared(bench.median(ours, servers), bench.median(theirs, servers)))
            for title, ours, theirs, servers in _ROWS
        ],
    )


def _compared(ours: Cost, theirs: Cost) -> Sequence[str]:
    pairs = [(cost.seconds, cost.size_bytes, cost.cpu_seconds) for cost in (ours, theirs)]
    said = [text for seconds, size, cpu in pairs for text in (_number(seconds, 1), _mib(size), _number(cpu, 1))]
    return (*said, *(_ratio(one, other) for one, other in zip(*pairs, strict=True)))


def _median(costs: Sequence[Cost]) -> Cost:
    sizes = [cost.size_bytes for cost in costs if cost.size_bytes is not None]
    return Cost(
        seconds=statistics.median(cost.seconds for cost in costs),
        cpu_seconds=statistics.median(cost.cpu_seconds for cost in costs),
        size_bytes=statistics.median(sizes) if sizes else None,
    )


def _serving(bench: Bench) -> str:
    rows = [
        (name, f"{served.requests:,}", served.failed, _number(served.p50_ms, 1), _number(served.p99_ms, 1))
        for name, served in zip(("without a backup", "during backups"), bench.served, strict=True)
    ]
    return table(("users at the edge", "requests", "failed", "p50 ms", "p99 ms"), rows)


def _verdict(bench: Bench) -> str:
    asked = [
        ("whole stack restored (s)", f"{MOST_RESTORE_SECONDS:.0f}", bench.restore_seconds, MOST_RESTORE_SECONDS),
        ("p99 during backups to without", f"{MOST_P99_RATIO:.1f}", bench.p99_ratio, MOST_P99_RATIO),
    ]
    rows = [
        (what, f"≤ {most}", f"{measured:.2f}", "yes" if measured <= limit else "**no**")
        for what, most, measured, limit in asked
    ]
    return table(("what is asked", "at most", "measured", "met"), rows)


def _ratio(ours: float | None, theirs: float | None) -> str:
    return "–" if ours is None or not theirs else f"{ours / theirs:.2f}"


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _mib(size: float | None) -> str:
    return "–" if size is None else f"{size / 2**20:,.0f}"
