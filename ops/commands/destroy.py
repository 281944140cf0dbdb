"""`./pidea destroy STACK`: removes what the stack runs; data only when asked for."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(destroy)


def destroy(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    with_data: Annotated[bool, typer.Option(help="Also remove volumes and state. There is no way back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing data.")] = False,
) -> None:
    """Remove the stack's services. Data volumes stay for the next up, unless --with-data."""
    from ops import console
    from ops.errors import UsageError
    from ops.stack import instances, teardown
    from ops.stack.reference import resolve

    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)
    if with_data and not yes:
        if not sys.stdin.isatty():
            raise UsageError("--with-data removes data for good and nobody can be asked here; add --yes to mean it.")
        typed = typer.prompt(f"All data of {wanted.name} will be gone. Type its name to go on")
        if typed != wanted.name:
            raise UsageError(f"{typed!r} is not {wanted.name!r}; nothing was touched.")
    removed = teardown.destroy(wanted, with_data=with_data)
    kept = "" if with_data else "; its data volumes stay"
    console.say(f"Stack {wanted.name} is down, {removed} resources removed{kept}.")
