"""Several scenarios against one stack, and the files that tell of them: kept up to date after each run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import filelock

from ops import console
from ops.chaos import run as runs
from ops.chaos import target as targets
from ops.chaos.reports import data, junit, page
from ops.chaos.run import Rates, Result
from ops.chaos.scenario import Scenario
from ops.errors import StateError
from ops.stack import instances
from ops.stack.reference import Stack

# The most that a run of a scenario may take; the clients inside write no longer than all of them together.
_RUN_SECONDS = 360.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Files:
    """Where the report is written; None: not."""

    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None

    def write(self, report: dict[str, Any]) -> None:
        """All of them."""
        if self.json is not None and str(self.json) != "-":
            _write(self.json, json.dumps(report, indent=2) + "\n")
        if self.junit is not None:
            _write(self.junit, junit.of(report))
        if self.html is not None:
            _write(self.html, page.of(report))


def run(stack: Stack, scenarios: Sequence[Scenario], repeats: int, rates: Rates, *, files: Files) -> dict[str, Any]:
    """The report of all runs. Ctrl-C heals what was done, and leaves the report of what was finished.

    Raises StateError where another run is at work on the stack, DeployError where the stack is not whole to begin with.
    """
    instances.require(stack)
    mutex = filelock.FileLock(stack.folder / "chaos.lock")
    try:
        mutex.acquire(timeout=0)
    except filelock.Timeout:
        raise StateError(f"Another chaos run is at work on {stack.name}; wait for it to end.") from None
    with mutex:
        target = targets.of(stack)
        results: list[Result] = []

        def keep(result: Result) -> None:
            results.append(result)
            say(result)
            files.write(data.of(results, stack.name))

        with runs.opened(target, rates, _RUN_SECONDS * len(scenarios) * repeats) as session:
            runs.several(session, list(scenarios), repeats, keep)
        return data.of(results, stack.name)


def say(result: Result) -> None:
    """The verdict, on the terminal."""
    if result.verdict.held:
        console.say("    [green]held[/green]")
    for reason in result.verdict.reasons:
        console.say(f"    [red]✗[/red] {reason}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
