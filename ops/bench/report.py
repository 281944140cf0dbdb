"""The measurements as tables, for people and for `app/README.md`, which only this writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ops.bench.measure import (
    BEFORE_SECONDS,
    CALM_THINK_MS,
    CONNECTIONS,
    OURS,
    STEADY_PER_SECOND,
    Identical,
    Load,
    Outage,
    Soak,
)
from ops.errors import UsageError

Row = Sequence[object]


def variants(calm: Mapping[str, Load], limit: Mapping[str, Load]) -> str:
    """Optimisations on and off, side by side."""
    return "\n\n".join(
        (
            f"Response times: {CONNECTIONS} clients that think for {CALM_THINK_MS} ms before they ask again.",
            _variants(calm),
            f"At the machine's limit: {CONNECTIONS} clients that do not think.",
            _variants(limit),
        )
    )


def _variants(measured: Mapping[str, Load]) -> str:
    on, off = measured["optimised"], measured["baseline"]
    return table(
        ("", "baseline", "optimised", "ratio"),
        [
            ("requests a second", *_pair(off, on, "throughput_per_second", 0, more_is_better=True)),
            ("mean response (ms)", *_pair(off, on, "mean_ms", 2)),
            ("p50 (ms)", *_pair(off, on, "p50_ms", 2)),
            ("p99 (ms)", *_pair(off, on, "p99_ms", 1)),
            ("mean of reads, within the service (ms)", *_pair(off, on, "read_mean_ms", 2)),
            ("mean of appends, within the service (ms)", *_pair(off, on, "write_mean_ms", 2)),
            ("processor time a request (ms)", *_pair(off, on, "cpu_ms_per_request", 2)),
            ("hit rate", _percent(off.hit_ratio), _percent(on.hit_ratio), ""),
            ("reads that PostgreSQL answered", off.origin_calls, on.origin_calls, ""),
            ("failed", off.failed, on.failed, ""),
        ],
    )


def libraries(measured: Mapping[str, Load]) -> str:
    """Ours and the same job done with the libraries."""
    others = [name for name in measured if name != OURS]
    names = (OURS, *others)

    def row(title: str, key: str, digits: int) -> Row:
        return (title, *(_number(getattr(measured[name], key), digits) for name in names))

    return table(
        ("", *names),
        [
            row("requests a second", "throughput_per_second", 0),
            row("mean response (ms)", "mean_ms", 2),
            row("p50 (ms)", "p50_ms", 2),
            row("p99 (ms)", "p99_ms", 1),
            row("reads that PostgreSQL answered, of 1,000 requests", "origin_calls_per_thousand", 1),
            row("failed", "failed", 0),
        ],
    )


def outages(measured: Iterable[Outage]) -> str:
    """What became of requests before, while and after a dependency was away."""
    rows = [
        (
            outage.service,
            outage.what,
            phase.name,
            f"{phase.seconds:.0f}",
            phase.requests,
            f"{phase.failed_reads} of reads, {phase.failed_writes} of writes",
            _percent((phase.failed_reads + phase.failed_writes) / max(1, phase.requests), 2),
            phase.stale,
            f"{phase.p50_ms:.1f}",
            f"{phase.p99_ms:.0f}",
            f"{phase.max_ms:.0f}",
        )
        for outage in measured
        for phase in outage.phases
    ]
    header = ("service", "what", "phase", "s", "requests", "failed", "rate", "stale", "p50 ms", "p99 ms", "max ms")
    timelines = [
        f"Breakers, {outage.what}, in seconds from then: {', '.join(outage.breaker)}."
        for outage in measured
        if outage.breaker
    ]
    load = f"A steady {STEADY_PER_SECOND} requests a second, sent whatever becomes of them; at second {BEFORE_SECONDS}:"
    return "\n\n".join([load, table(header, rows), *timelines])


def identical(measured: Identical) -> str:
    """How often identical calls were executed."""
    return (
        f"{measured.calls:,} identical calls at once of a page that no tier has, each on its connection, two replicas: "
        f"{measured.answered:,} answered, {measured.executions} executed, "
        f"{max(0, measured.executions - 1)} duplicates, {measured.seconds:.1f} s."
    )


def monitoring(measured: Mapping[str, Load]) -> str:
    """What metrics, traces and logs cost."""
    loud, silent = measured["measured"], measured["silent"]
    return table(
        ("of a read from L1", "switched off", "switched on", "more"),
        [
            ("p50 (ms)", _number(silent.p50_ms, 3), _number(loud.p50_ms, 3), _number(loud.p50_ms - silent.p50_ms, 3)),
            (
                "processor time (ms)",
                _number(silent.cpu_ms_per_request, 3),
                _number(loud.cpu_ms_per_request, 3),
                _number((loud.cpu_ms_per_request or 0) - (silent.cpu_ms_per_request or 0), 3),
            ),
        ],
    )


def soak(measured: Soak) -> str:
    """What a long load leaves behind."""
    rows = zip(
        range(1, 11),
        measured.resident_mib,
        measured.open_files,
        measured.pool_connections,
        measured.background_tasks,
        strict=True,
    )
    load = f"{measured.seconds} s, {measured.requests:,} requests, {measured.failed} failed."
    header = ("tenth", "resident MiB", "open files", "connections of the pool", "tasks behind requests")
    return f"{load}\n\n{table(header, rows)}"


def conditions(seconds: int, rounds: int) -> str:
    """What has to be known to read the figures."""
    return (
        f"`./pidea bench app`, {rounds} rounds of {seconds} s in turn, on {os.cpu_count()} processors that the load "
        "generator, PostgreSQL, Redis and everything else on the machine share; a replica has at most one processor "
        "and 256 MiB. The ratios say more than the figures."
    )


def write(readme: Path, sections: Mapping[str, str]) -> None:
    """Put each section between its own markers, which must be there."""
    text = readme.read_text(encoding="utf-8")
    for name, content in sections.items():
        begin, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise UsageError(f"{readme.name} has no place for {name}: put {begin.strip()} and {end} where it shall be.")
        text = f"{before}{begin}\n{content}\n\n{end}{after}"
    readme.write_text(text, encoding="utf-8")


def table(header: Row, rows: Iterable[Row]) -> str:
    """In Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _pair(off: Load, on: Load, key: str, digits: int, *, more_is_better: bool = False) -> Row:
    before, after = getattr(off, key), getattr(on, key)
    ratio = after / before if more_is_better else before / after
    return (_number(before, digits), _number(after, digits), f"{ratio:.2f}")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _percent(part: float | None, digits: int = 1) -> str:
    return "–" if part is None else f"{100 * part:.{digits}f} %"
