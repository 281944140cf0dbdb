"""`./pidea doctor`: what this machine has and lacks."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

_MARKS = {"ok": "[green]✓ ok[/green]", "warn": "[yellow]! warn[/yellow]", "fail": "[red]✗ fail[/red]"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the checks for scripts.")] = False) -> None:
    """Show what this machine has and lacks, and how to repair it; exits with 1 where something is missing."""
    from rich.markup import escape
    from rich.table import Table

    from ops import console
    from ops.host.doctor import examine

    checks = examine()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("", "what", "found"):
            table.add_column(heading, overflow="fold")
        for check in checks:
            found = escape(check.detail) + (f"\n[bold]→ {escape(check.fix)}[/bold]" if check.fix else "")
            table.add_row(_MARKS[check.status], check.name, found)
        console.out.print(table)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)
