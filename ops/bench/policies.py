"""How much longer a preview takes that the policy pack judges, beside one that it does not, in turns in one run."""

from __future__ import annotations

import dataclasses
import datetime
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ops import paths
from ops.errors import DeployError
from ops.stack import deploy, environment, instances, settings
from ops.stack.events import EventLog
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack, resolve
from ops.stack.state import State
from policies.catalogue import RULES

DOCUMENT = paths.REPO / "docs" / "policies" / "time.md"
# Either of them is kept.
MOST_SECONDS, MOST_SHARE = 1.5, 0.25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Previews:
    """Seconds of each preview: by the clock, and of processor time of Pulumi and all that it started."""

    wall_s: Sequence[float]
    cpu_s: Sequence[float]

    @property
    def median_s(self) -> float:
        """By the clock."""
        return statistics.median(self.wall_s)

    @property
    def median_cpu_s(self) -> float:
        """Of processor time."""
        return statistics.median(self.cpu_s)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Both kinds, as many of each."""

    stack: str
    plain: Previews
    judged: Previews
    load: float

    @property
    def added_s(self) -> float:
        """By the clock."""
        return self.judged.median_s - self.plain.median_s

    @property
    def added_share(self) -> float:
        """Of the preview without the pack."""
        return self.judged.median_s / self.plain.median_s - 1

    @property
    def is_calm(self) -> bool:
        """Whether the machine had nothing else to do; else the clock tells how long others kept it."""
        return self.load <= (os.cpu_count() or 1)

    @property
    def is_quick(self) -> bool:
        """Whether it is known to keep what was promised."""
        return self.is_calm and (self.added_s <= MOST_SECONDS or self.added_share <= MOST_SHARE)

    @property
    def verdict(self) -> str:
        """In one sentence."""
        if not self.is_calm:
            return "The machine was busy with something else: the clock tells nothing, measure again."
        kept = "Kept" if self.is_quick else "**Not kept**"
        return f"{kept}: {self.added_s:.2f} s, {self.added_share:.0%}."


def run(name: str, runs: int) -> Measured:
    """Previews an instance of its own from an empty state, `runs` times each way. Raises DeployError, StateError."""
    times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="pidea-bench-") as folder:
        stack = resolve(name, "judged", local=Path(folder))
        stack.folder.mkdir(parents=True)
        shutil.copy(stack.environment_file, stack.config_file)
        instances.ensure(stack)
        settings.plan_of(stack)
        pulumi = Pulumi(stack, environment.tools())
        state = deploy.open_state(pulumi)
        _preview(stack, pulumi, state, judged=True)  # fills the caches of the disk
        for number in range(2 * runs):
            # Each goes first as often as the other.
            judged = (number % 4) in (1, 2)
            times[judged].append(_preview(stack, pulumi, state, judged=judged))
    plain, ours = (
        Previews(wall_s=[wall for wall, _ in found], cpu_s=[cpu for _, cpu in found])
        for found in (times[False], times[True])
    )
    return Measured(stack=name, plain=plain, judged=ours, load=load)


def write(measured: Measured) -> None:
    """The page in the documentation."""
    DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
    DOCUMENT.write_text(page(measured), encoding="utf-8")


def page(measured: Measured) -> str:
    """What was measured, and under which conditions."""
    today = datetime.datetime.now(datetime.UTC).date()
    rows = [
        ("seconds", measured.plain.wall_s, measured.judged.wall_s),
        ("seconds of processor time", measured.plain.cpu_s, measured.judged.cpu_s),
    ]
    lines = [
        "# How long the pack takes",
        "",
        f"`pulumi preview` of {measured.stack} from an empty state, {len(measured.plain.wall_s)} times each way in",
        f"turns in one run, judged by {len(RULES)} rules and without the pack. Medians, least and most in brackets.",
        f"Written by `./pidea bench policy {measured.stack} --write` on {today:%Y-%m-%d},",
        f"on {os.cpu_count()} processors with a load of {measured.load:.1f} before.",
        "",
        "| | without | judged | added | ratio |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(f"| {name} | {_said(plain)} | {_said(ours)} | {_compared(plain, ours)} |" for name, plain, ours in rows),
        "",
        f"Promised: at most {MOST_SECONDS} s or {MOST_SHARE:.0%} more. {measured.verdict}",
    ]
    return "\n".join(lines) + "\n"


def _preview(stack: Stack, pulumi: Pulumi, state: State, *, judged: bool) -> tuple[float, float]:
    log = EventLog()
    before, started = _cpu_s(), time.monotonic()
    result = pulumi.preview([], log, state, judged=judged)
    seconds = time.monotonic() - started
    if result.code:
        reasons = [f"{failure.subject}: {failure.message}" for failure in log.failures] or [result.errors.strip()]
        raise DeployError("\n".join([f"The preview of {stack.name} failed; nothing was measured.", *reasons]))
    return seconds, _cpu_s() - before


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _said(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"


def _compared(plain: Sequence[float], ours: Sequence[float]) -> str:
    one, other = statistics.median(plain), statistics.median(ours)
    return f"{other - one:+.2f} | {other / one:.2f}"
