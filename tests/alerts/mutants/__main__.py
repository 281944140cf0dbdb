"""`python -m tests.alerts.mutants [ALERT…]`: makes every alert wrong in every way, and writes docs/alert-mutants.md.

With names of alerts only those, and nothing is written. Exits with 1 below 95 %. About a minute and a half for all.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.alerts.mutants.running import is_noticed
from tests.alerts.mutants.sites import Mutant, mutants
from tests.alerts.rules import REPOSITORY, alerts, rule_of

REPORT = REPOSITORY / "docs" / "alert-mutants.md"
LEAST_NOTICED = 0.95


def main(only: list[str]) -> int:
    """The process's exit code."""
    promtool = shutil.which("promtool")
    if promtool is None:
        print("promtool is not installed: apt-get install prometheus", file=sys.stderr)
        return 3
    began = time.monotonic()
    unnoticed: list[Mutant] = []
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for alert in alerts():
            if only and alert.name not in only:
                continue
            for mutant in mutants(rule_of(alert)):
                total += 1
                if not is_noticed(promtool, alert, mutant, Path(folder)):
                    unnoticed.append(mutant)
                    print(f"unnoticed: {mutant.alert}: {mutant.change}")
    ratio = 1 - len(unnoticed) / total if total else 0.0
    print(f"{total - len(unnoticed)} of {total} noticed, {ratio:.1%}, in {time.monotonic() - began:.0f} s")
    if not only:
        REPORT.write_text(report(total, unnoticed))
    return 0 if ratio >= LEAST_NOTICED else 1


def report(total: int, unnoticed: list[Mutant]) -> str:
    """The page: the figure, and every wrong alert that no case notices."""
    lines = [
        "# Wrong alerts, and whether their cases notice",
        "",
        "Written by `.venv/bin/python -m tests.alerts.mutants`: each alert with a threshold twice as high, a",
        "comparison the other way round, or without its `for`, one change at a time, against its own cases.",
        "",
        f"**{total - len(unnoticed)} of {total} are noticed, {1 - len(unnoticed) / total:.1%}.**",
        "",
    ]
    if unnoticed:
        lines += ["| alert | change that no case notices |", "|---|---|"]
        lines += [f"| {mutant.alert} | `{mutant.change}` |" for mutant in unnoticed]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
