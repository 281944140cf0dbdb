"""`./pidea bench deploy`: our deployments beside `docker stack deploy` of the same services."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Measure, on instances of their own that are removed again.", no_args_is_help=True)
    group.callback()(_group)
    group.command(name="deploy")(deploy)
    app.add_typer(group, name="bench")


def _group() -> None:
    """Without it, Typer would make a group of one command that command itself."""


def deploy(
    environment: Annotated[str, typer.Argument(help="staging or prod.")] = "staging",
    runs: Annotated[int, typer.Option(min=1, max=20, help="How often; ours and the yardstick take turns.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements for scripts.")] = False,
) -> None:
    """Time a bring-up from cached images, a no-op and a one-service update; each as ratio to docker stack deploy."""
    from rich.table import Table

    from ops import console
    from ops.stack import benchmark

    measured = benchmark.run(environment, runs)
    if as_json:
        typer.echo(json.dumps({item.name: item.as_json() for item in measured}, indent=2))
        return
    table = Table("", "ours (s)", "docker stack deploy (s)", "ratio", box=None, header_style="bold")
    for item in measured:
        table.add_row(item.name, str(item.ours), str(item.theirs), f"{item.ratio:.2f}")
    console.out.print(table)
