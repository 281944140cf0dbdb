"""Everything that was measured, for scripts; the other reports are made of it."""

from __future__ import annotations

import datetime
import os
import statistics
from collections.abc import Sequence
from typing import Any

from ops.chaos import timeline
from ops.chaos.goals import FIGURES
from ops.chaos.run import Result


def of(results: Sequence[Result], stack: str) -> dict[str, Any]:
    """The whole report: runs in their order, each with its figures, limits, verdict and timeline."""
    return {
        "stack": stack,
        "processors": os.cpu_count(),
        "held": bool(results) and all(result.verdict.held for result in results),
        "runs": [_run(result) for result in results],
        "summary": summary(results),
    }


def summary(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """For each scenario: how many runs, how many held, and of each figure the median and the worst."""
    made: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(result.scenario.name for result in results):
        runs = [result for result in results if result.scenario.name == name]
        figures = {}
        for figure in FIGURES:
            values = [value for run in runs if (value := run.verdict.figures[figure]) is not None]
            if values:
                figures[figure] = {"median": statistics.median(values), "worst": max(values), "sum": sum(values)}
        made[name] = {
            "kind": runs[0].scenario.kind.value,
            "runs": len(runs),
            "held": sum(run.verdict.held for run in runs),
            "limits": runs[0].scenario.asked,
            "figures": figures,
        }
    return made


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
