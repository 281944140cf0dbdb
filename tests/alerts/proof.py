"""What the cases of an alert prove, and the table of all in docs/alerts.md, with what was measured live."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.alerts import page as live
from tests.alerts.rules import Rule, alerts, case_file, load_cases

_TIME = re.compile(r"(\d+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_HEAD = """\
# Alerts

Every alert of `infra/rules/`, as its cases in `tests/alerts/` prove it: it is silent just before, fires just after, and
resolves; and there is a case in which it stays silent throughout. `PIDEA_UPDATE_GOLDENS=1` writes this page anew.
Whether the cases would notice a wrong alert: `alert-mutants.md`. How it is made to fire on a running stack:
`alert-proofs.md`.

| alert | severity | about | fires in test | silent in test | resolves in test | runbook |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Proof:
    """Whether some case has it fire, some has it silent throughout, and some silent, firing and silent again."""

    fires: bool
    silent: bool
    resolves: bool


def proof_of(alert: Rule) -> Proof:
    """What the alert's cases ask promtool to see."""
    cases = [
        "".join("F" if check["exp_alerts"] else "." for check in sorted(case["alert_rule_test"], key=_at))
        for case in load_cases(case_file(alert))["tests"]
    ]
    return Proof(
        fires=any("F" in case for case in cases),
        silent=any("F" not in case for case in cases),
        resolves=any(re.search(r"\.F+\.", case) for case in cases),
    )


def page(found: Sequence[Rule] | None = None, measured: Mapping[str, Any] | None = None) -> str:
    """docs/alerts.md as it must be, with what was measured live: by default what the repository keeps."""
    rows = []
    for alert in sorted(found if found is not None else alerts(), key=lambda one: one.name):
        proof = proof_of(alert)
        marks = " | ".join("yes" if mark else "**no**" for mark in (proof.fires, proof.silent, proof.resolves))
        service = "the job it names" if "{{" in alert.labels["service"] else alert.labels["service"]
        runbook = f"[{alert.name}](runbooks/{alert.name}.md)"
        rows.append(f"| {alert.name} | {alert.labels['severity']} | {service} | {marks} | {runbook} |\n")
    return live.joined(_HEAD + "".join(rows), live.known() if measured is None else measured)


def _at(check: dict[str, str]) -> int:
    return sum(int(number) * _SECONDS[unit] for number, unit in _TIME.findall(check["eval_time"]))
