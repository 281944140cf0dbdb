"""docs/alerts.md: of each alert when it was made to fire, or why it was not. What was measured is kept beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops import paths
from ops.alerts import rounds, rules
from ops.alerts.proof import PROMISED_SECONDS, Proof, as_json, is_promised
from ops.alerts.unproven import UNPROVEN

PAGE = paths.REPO / "docs" / "alerts.md"
MEASURED = paths.REPO / "docs" / "alerts-live.json"
BEGIN, END = "<!-- alerts:live -->", "<!-- /alerts:live -->"
_HEADER = "fired live"
_ROW = re.compile(r"^\| (Pidea\w+) \|")


def known(path: Path = MEASURED) -> dict[str, Any]:
    """What was measured: `alerts`, the newest proof of each by name, and `calm`, the newest time without a page."""
    return dict(json.loads(path.read_text())) if path.exists() else {"alerts": {}, "calm": {}}


def add(report: Mapping[str, Any], path: Path = MEASURED) -> dict[str, Any]:
    """Takes what a report proves into the file; what did not hold leaves what was proven before."""
    found = known(path)
    for proof in (Proof(**one) for one in report["alerts"]):
        if proof.held:
            kept = {name: value for name, value in as_json(proof).items() if name not in {"alert", "problem"}}
            found["alerts"][proof.alert] = {**kept, "kind": report["kind"], "on": report["begin"][:10]}
    return _kept(found, path)


def add_calm(report: Mapping[str, Any], path: Path = MEASURED) -> dict[str, Any]:
    """Takes a time without a page into the file."""
    found = known(path)
    if report["held"]:
        found["calm"] = {"minutes": report["minutes"], "kind": report["kind"], "on": report["begin"][:10]}
    return _kept(found, path)


def write(measured: Mapping[str, Any], path: Path = PAGE) -> None:
    """Writes the page anew with what was measured."""
    path.write_text(joined(path.read_text(), measured))


def joined(text: str, measured: Mapping[str, Any]) -> str:
    """The page with a column for what fired, and the section about it at its end; what it had of both is replaced."""
    before = text.partition(BEGIN)[0].rstrip("\n")
    lines = [_with_cell(line, measured["alerts"]) for line in before.splitlines()]
    return "\n".join([*lines, "", BEGIN, "", *_section(measured), "", END, ""])


def _with_cell(line: str, alerts: Mapping[str, Any]) -> str:
    cells = line.strip("|").split("|")
    if not line.startswith("|") or len(cells) < 3:
        return line
    titles = (f" {_HEADER} ", "---")
    row = _ROW.match(line)
    cell = f" {_cell(row[1], alerts)} " if row else titles[1] if set(line) <= {"|", "-"} else titles[0]
    # The runbook stays the last column.
    has_one = len(cells) == _COLUMNS + 1
    kept = cells[:-2] if has_one else cells[:-1]
    return "|" + "|".join([*kept, cell, cells[-1]]) + "|"


# Of the table without the column.
_COLUMNS = 7


def _cell(alert: str, alerts: Mapping[str, Any]) -> str:
    if alert in alerts:
        return f"told after {alerts[alert]['page_seconds']:.0f} s"
    return "no, see below" if alert in UNPROVEN else "not yet"


def _section(measured: Mapping[str, Any]) -> Iterable[str]:
    alerts: Mapping[str, Any] = measured["alerts"]
    promised = [name for name in sorted(alerts) if is_promised(rules.alerts()[name])]
    late = [name for name in promised if alerts[name]["page_seconds"] > PROMISED_SECONDS]
    yield "## Made to fire"
    yield ""
    yield (
        f"`./pidea alerts prove` caused the fault on a running stack that was being used, and healed it: "
        f"{len(alerts)} of {len(rules.alerts())} alerts. Seconds are counted from the moment at which the fault had "
        f"taken effect; `over` from the begin of its healing. Paging alerts that wait for less than a minute are to be "
        f"told within {PROMISED_SECONDS:.0f} s: {len(promised) - len(late)} of {len(promised)} were."
    )
    if calm := measured["calm"]:
        yield ""
        yield (
            f"In {calm['minutes']:.0f} minutes of requests, a rolling deployment and a backup ({calm['kind']}) nobody "
            "was told of anything."
        )
    yield ""
    yield from _table(
        ("alert", "severity", "what was caused", "on", "pending", "firing", "told", "over"),
        [
            (
                name,
                one["severity"],
                one["summary"],
                one["kind"],
                *(_shown(one[f"{what}_seconds"]) for what in ("pending", "firing", "page")),
                "later" if one["is_lasting"] and one["resolved_seconds"] is None else _shown(one["resolved_seconds"]),
            )
            for name, one in sorted(alerts.items())
        ],
    )
    if left := sorted(set(UNPROVEN) - set(alerts)):
        yield ""
        yield "Not made to fire, but proven by their cases:"
        yield ""
        yield from _table(("alert", "because"), [(name, UNPROVEN[name]) for name in left])
    if waiting := sorted({alert for fault in rounds.faults() for alert in fault.alerts} - set(alerts)):
        yield ""
        yield f"Can be made to fire, and were not yet: {', '.join(waiting)}."


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    for line in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(line)} |"


def _shown(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.0f} s"


def _kept(found: dict[str, Any], path: Path) -> dict[str, Any]:
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return found
