"""`./pidea preview STACK`: what `up` would change."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(preview)


def preview(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    refresh: Annotated[bool, typer.Option(help="Compare with what really runs, not with the state.")] = False,
    expect_no_changes: Annotated[bool, typer.Option(help="Exit with 1 where something would change.")] = False,
    diff: Annotated[bool, typer.Option(help="Show every property that would change.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the changes for scripts.")] = False,
) -> None:
    """Show what up would change, without changing anything that runs."""
    from ops import console
    from ops.stack import planned
    from ops.stack.reference import resolve

    found = planned.preview(resolve(stack, instance, lab=lab), refresh=refresh, diff=diff)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    elif diff:
        typer.echo(found.text)
    else:
        for line in found.lines:
            console.out.print(line, markup=False)
        console.say(found.summary)
    if expect_no_changes and found.changes:
        raise typer.Exit(1)
