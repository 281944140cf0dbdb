"""`./pidea check`: the linters, the same by hand and in CI."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(check)


def check() -> None:
    """Run ruff (rules and format) and mypy --strict."""
    from ops import console
    from ops.host.checks import run

    failed = run()
    if failed:
        console.say(f"[red]✗[/red] {', '.join(failed)} failed. Repair what is listed above, then run this again.")
        raise typer.Exit(1)
    console.say("[green]✓[/green] all checks passed")
