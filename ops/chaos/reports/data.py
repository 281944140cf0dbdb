"""Everything that was measured, for scripts; the other reports are made of it."""

from __future__ import annotations

import datetime
import json
import os
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.chaos import timeline
from ops.chaos.goals import FIGURES
from ops.chaos.run import Result
from ops.errors import UsageError


def of(results: Sequence[Result], stack: str) -> dict[str, Any]:
    """The whole report: runs in their order, each with its figures, limits, verdict and timeline."""
    return _report([_run(result) for result in results], stack, os.cpu_count())


def merged(files: Sequence[Path]) -> dict[str, Any]:
    """One report of several that were written before, each scenario's runs numbered as they came.

    Raises UsageError where they are none, or not of one kind.
    """
    reports = [_read(path) for path in files]
    conditions = {(report["stack"], report["processors"]) for report in reports}
    if len(conditions) > 1:
        found = ", ".join(f"{stack} with {processors} processors" for stack, processors in sorted(conditions))
        raise UsageError(
            f"What was measured under different conditions makes no table: {found}. Name reports of one kind."
        )
    ((stack, processors),) = conditions
    runs = {(run["scenario"], run["begin"]): run for report in reports for run in report["runs"]}
    counted: Counter[str] = Counter()
    for scenario, begin in sorted(runs, key=lambda key: key[1]):
        counted[scenario] += 1
        runs[scenario, begin] |= {"repeat": counted[scenario]}
    return _report(list(runs.values()), stack, processors)


def require_timelines(report: Mapping[str, Any]) -> None:
    """Raises UsageError where a run's timeline was not kept, which pages and JUnit are made of."""
    if any("timeline" not in run for run in report["runs"]):
        raise UsageError("Only figures were kept of some runs: for --html and --junit, name what `--json FILE` wrote.")


def write_figures(path: Path, report: Mapping[str, Any]) -> None:
    """What the table was made of, without the timelines: small enough to be kept, and `merged` with what comes later.

    A run a line, so that a diff shows which were added.
    """
    runs = ",\n".join(
        json.dumps({name: value for name, value in run.items() if name != "timeline"}) for run in report["runs"]
    )
    conditions = json.dumps({name: report[name] for name in ("stack", "processors")})
    path.write_text(f'{conditions[:-1]}, "runs": [\n{runs}\n]}}\n', encoding="utf-8")


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each scenario: how many runs, how many held, and of each figure the median and the worst."""
    made: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(run["scenario"] for run in runs):
        these = [run for run in runs if run["scenario"] == name]
        figures = {}
        for figure in FIGURES:
            values = [value for run in these if (value := run["figures"][figure]) is not None]
            if values:
                figures[figure] = {"median": statistics.median(values), "worst": max(values), "sum": sum(values)}
        made[name] = {
            "kind": these[0]["kind"],
            "runs": len(these),
            "held": sum(run["held"] for run in these),
            "limits": these[0]["limits"],
            "figures": figures,
        }
    return made


def _report(runs: list[dict[str, Any]], stack: str, processors: int | None) -> dict[str, Any]:
    return {
        "stack": stack,
        "processors": processors,
        "held": bool(runs) and all(run["held"] for run in runs),
        "runs": runs,
        "summary": summary(runs),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        summary(report["runs"])
        return {"stack": report["stack"], "processors": report["processors"], "runs": report["runs"]}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} is no report: name files that `./pidea chaos suite --json FILE` wrote.") from None


def _run(result: Result) -> dict[str, Any]:
    seen = result.observation
    return {
        "scenario": result.scenario.name,
        "summary": result.scenario.summary,
        "kind": result.scenario.kind.value,
        "repeat": result.repeat,
        "begin": datetime.datetime.fromtimestamp(seen.begin, datetime.UTC).isoformat(timespec="milliseconds"),
        "held": result.verdict.held,
        "reasons": list(result.verdict.reasons),
        "figures": dict(result.verdict.figures),
        "limits": dict(result.verdict.limits),
        "timeline": timeline.of(seen),
    }
