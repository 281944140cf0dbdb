"""Measures how many changes of the rules their tests notice: `python -m tests.policy.mutants --help`."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.policy.mutants import report, running
from tests.policy.mutants.sites import mutants


def main() -> int:
    """Exits with 1 where fewer are noticed than promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="Only these: containers, view, ….")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="So many at the same time.")
    parser.add_argument("--every", type=int, default=1, help="A sample: every so manieth mutant of each module.")
    parser.add_argument("--write", action="store_true", help="Put what was measured into docs/policies/mutants.md.")
    given = parser.parse_args()
    measured: list[report.Module] = []
    for module, own in report.MODULES.items():
        if given.modules and module.stem not in given.modules:
            continue
        started = time.monotonic()
        all_of_it = mutants(module.read_text(encoding="utf-8"))[given.every // 2 :: given.every]
        measurement = running.Measurement(module, all_of_it, [running.TESTS / name for name in own], given.jobs)
        measurement.run()
        measured.append(report.Module(path=module, outcomes=measurement.outcomes, seconds=time.monotonic() - started))
        print(report.line(measured[-1]), flush=True)
        if given.write:
            report.write(measured, given.every)
        for outcome in measured[-1].survivors if given.modules else []:
            mutant = outcome.mutant
            print(f"  {module.name}:{mutant.line} {mutant.operator}: {mutant.before} → {mutant.after}", flush=True)
    print(report.total(measured))
    return 0 if report.is_enough(measured) else 1


if __name__ == "__main__":
    sys.exit(main())
