"""`./pidea slo STACK`: how the stack keeps its promises."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(slo)


def slo(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Show each objective, what is left of its error budget, and how fast it is spent. Exits 1 where one is spent."""
    from rich.table import Table

    from ops import console
    from ops.stack import door, metrics
    from ops.stack import slo as objectives
    from ops.stack.reference import resolve

    wanted = resolve(stack, instance, lab=lab)
    found = objectives.promises(metrics.through(wanted, door.of(wanted)))
    if as_json:
        summary = {"stack": wanted.name, "objectives": [promise.as_json() for promise in found]}
        typer.echo(json.dumps(summary, indent=2))
    else:
        table = Table(box=None, header_style="bold")
        for title in ("objective", "target", "requests", "failed", "left"):
            table.add_column(title, no_wrap=True)
        for window in objectives.WINDOWS:
            table.add_column(f"burn {window}", no_wrap=True)
        for promise in found:
            left = "no traffic" if promise.remaining_ratio is None else f"{promise.remaining_ratio:.1%}"
            table.add_row(
                promise.name,
                f"{promise.target:.2%}",
                f"{promise.requests:.0f}",
                f"{promise.failures:.1f}",
                f"[red]{left}[/red]" if promise.is_spent else left,
                *("-" if rate is None else f"{rate:.2f}" for rate in promise.burn_rates.values()),
            )
        console.out.print(table)
        days = found[0].period_days
        typer.echo(f"left: of the error budget of {days} days, which a burn rate of 1 spends in exactly that time")
    if any(promise.is_spent for promise in found):
        raise typer.Exit(1)
