"""The results as Markdown, for people and for `docs/chaos.md`, whose table only this writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.chaos.goals import FIGURES, shown
from ops.errors import UsageError

BEGIN, END = "<!-- chaos:results -->", "<!-- /chaos:results -->"
_COLUMNS = ("redis_gap_seconds", "postgres_gap_seconds", "recovery_seconds", "p99_ms")
_COUNTS = ("lost_messages", "lost_postgres_writes", "lost_redis_writes", "two_primaries")


def of(report: Mapping[str, Any]) -> str:
    """What was measured against what was asked, scenario by scenario, and every reason why one did not hold."""
    parts = [_conditions(report), _scenarios(report["summary"]), _goals(report["summary"])]
    if broken := [run for run in report["runs"] if not run["held"]]:
        lines = [f"- {run['scenario']} ({run['repeat']}): {'; '.join(run['reasons'])}" for run in broken]
        parts.append("What did not hold:\n\n" + "\n".join(dict.fromkeys(lines)))
    return "\n\n".join(parts)


def write(path: Path, report: Mapping[str, Any]) -> None:
    """Puts the table between its marks. Raises UsageError where the file has none."""
    text = path.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise UsageError(f"{path.name} has no place for the results: put {BEGIN} and {END} where they shall be.")
    path.write_text(f"{before}{BEGIN}\n\n{of(report)}\n\n{END}{after}", encoding="utf-8")


def _conditions(report: Mapping[str, Any]) -> str:
    runs = report["runs"]
    requests = sum(run["figures"]["requests"] or 0 for run in runs)
    return (
        f"Stack {report['stack']}, {report['processors']} processors for all nodes, servers and clients together; "
        f"{len(runs)} runs, {requests:,.0f} requests at the edges. Median / worst over the runs; counts are sums."
    )


def _scenarios(summary: Mapping[str, Any]) -> str:
    header = (
        "scenario",
        "held",
        "Redis write gap",
        "PostgreSQL write gap",
        "recovery",
        "p99 at edges left",
        "lost: messages, PostgreSQL, Redis",
        "two primaries",
        "isolated: writes, for",
        "failed: any edge, edges left",
    )
    rows = []
    for name, found in summary.items():
        figures = found["figures"]
        lost = ", ".join(_sum(figures, key) for key in _COUNTS[:3])
        isolated = f"{_worst(figures, 'isolated_writes')}, {_worst(figures, 'isolated_seconds')}"
        failed = f"{_share(figures, 'failed_any_edge')}, {_share(figures, 'failed_surviving_edges')}"
        rows.append(
            (
                f"`{name}`",
                f"{found['held']} of {found['runs']}",
                *(_both(figures, key) for key in _COLUMNS),
                lost,
                _sum(figures, "two_primaries"),
                isolated,
                failed,
            )
        )
    return _table(header, rows)


def _goals(summary: Mapping[str, Any]) -> str:
    """Each figure that was asked for, over all scenarios that ask for the same."""
    asked: dict[tuple[str, float], list[str]] = {}
    for name, found in summary.items():
        for figure, limit in found["limits"].items():
            asked.setdefault((figure, limit), []).append(name)
    rows = []
    for figure in FIGURES:
        for (wanted, limit), names in sorted(asked.items()):
            if wanted != figure:
                continue
            measured = [summary[name]["figures"].get(figure) for name in names]
            known = [item for item in measured if item is not None]
            worst = max((item["worst"] for item in known), default=None)
            missing = len(measured) - len(known)
            met = "yes" if worst is not None and worst <= limit and not missing else "**no**"
            rows.append((FIGURES[figure].title, f"≤ {shown(figure, limit)}", shown(figure, worst), len(names), met))
    return _table(("what is asked", "at most", "worst", "scenarios", "met"), rows)


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _both(figures: Mapping[str, Any], name: str) -> str:
    found = figures.get(name)
    return "–" if found is None else f"{shown(name, found['median'])} / {shown(name, found['worst'])}"


def _worst(figures: Mapping[str, Any], name: str) -> str:
    return shown(name, figures[name]["worst"]) if name in figures else "–"


def _sum(figures: Mapping[str, Any], name: str) -> str:
    return shown(name, figures[name]["sum"]) if name in figures else "–"


def _share(figures: Mapping[str, Any], name: str) -> str:
    """A sum, and the worst run's percentage."""
    return f"{_sum(figures, name)} ({_worst(figures, f'{name}_percent')})"
