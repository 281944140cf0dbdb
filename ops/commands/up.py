"""`./pidea up STACK`: makes the stack what its configuration says."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(up)


def up(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    refresh: Annotated[
        bool | None,
        typer.Option(
            "--refresh/--no-refresh",
            help="Settle an interrupted run too / trust the state. Without either: find and heal drift.",
        ),
    ] = None,
    break_lock: Annotated[bool, typer.Option(help="Take away the lock of a run that is dead.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Go on though a cluster is degraded, a node is missing or cannot pull, or an error budget is spent.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Bring the stack up, or make it what its configuration says; finds and heals what was changed by hand."""
    from ops import console
    from ops.stack import deploy
    from ops.stack.progress import table
    from ops.stack.reference import resolve

    done = deploy.deploy(resolve(stack, instance, lab=lab), refresh=refresh, break_lock=break_lock, force=force)
    if as_json:
        typer.echo(json.dumps(done.as_json(), indent=2))
        return
    console.err.print(table(done.steps))
    for name, url in deploy.urls(done.stack, done.outputs).items():
        typer.echo(f"{name}: {url}")
    console.say(f"Stack {done.stack.name} is up{'' if done.changes else ', nothing had to change'}.")
