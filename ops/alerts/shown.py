"""A report, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from ops.alerts.proof import Proof


def of(report: Mapping[str, Any]) -> RenderableType:
    """A table of the alerts, or of what was told while nothing was wrong."""
    if "alerts" not in report:
        told = [f"{one['alert']} ({one['service']}) after {one['after']:.0f} s" for one in report["told"]]
        return "\n".join(told) or f"Nobody was told of anything in {report['minutes']:.0f} minutes."
    table = Table("alert", "fault", "pending", "firing", "told", "over", "", box=None, header_style="bold")
    for found in report["alerts"]:
        proof = Proof(**found)
        times = (proof.pending_seconds, proof.firing_seconds, proof.page_seconds, proof.resolved_seconds)
        verdict = "[green]held[/green]" if proof.held else f"[red]{proof.reason()}[/red]"
        table.add_row(proof.alert, proof.fault, *map(_seconds, times), verdict)
    others = sorted({f"{one['alert']} ({one['service']})" for one in report["also_told"]})
    return Group(table, f"Also told, of what followed from it: {', '.join(others)}." if others else "")


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"
