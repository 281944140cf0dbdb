"""Cases run against an alert that was made wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.alerts.mutants.sites import Mutant
from tests.alerts.rules import RULES, Rule, case_file, load, load_cases

_SECONDS = 120


def is_noticed(promtool: str, alert: Rule, mutant: Mutant, folder: Path) -> bool:
    """Whether the alert's own cases fail with the mutant in its place. `folder` is for the files of this run."""
    return fails(promtool, alert, mutant.rule, folder)


def fails(promtool: str, alert: Rule, instead: dict[str, Any], folder: Path) -> bool:
    """Whether the cases fail with another rule in the alert's place. Raises AssertionError where it is none."""
    broken = load(alert.file)
    for group in broken["groups"]:
        # The other alerts would be computed for nothing: cases ask about their own.
        group["rules"] = [
            instead if rule.get("alert") == alert.name else rule
            for rule in group["rules"]
            if rule.get("alert") in (None, alert.name)
        ]
    broken["groups"] = [group for group in broken["groups"] if group["rules"]]
    (folder / "rules.yml").write_text(yaml.safe_dump(broken, allow_unicode=True))
    cases = {**load_cases(case_file(alert)), "rule_files": ["rules.yml"]}
    (folder / "cases.yml").write_text(yaml.safe_dump(cases, allow_unicode=True))
    command: list[str | Path] = [promtool, "test", "rules", folder / "cases.yml"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS, check=False
    )
    assert done.returncode == 0 or "FAILED" in done.stdout, f"{RULES.name}: {done.stdout}"
    assert "could not parse" not in done.stdout, done.stdout
    return done.returncode != 0
