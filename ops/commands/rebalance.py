"""`./pidea rebalance STACK`: spreads the application over the nodes again."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(rebalance)


def rebalance(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Spread the application's tasks over the nodes again, as after a node's return. No request fails."""
    from ops import console
    from ops.errors import UsageError
    from ops.stack import instances, lock
    from ops.stack import rebalance as spreading
    from ops.stack.reference import resolve

    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)
    with lock.exclusive(wanted):
        before = after = spreading.look(wanted)
        if before.moves:
            console.say(
                f"The application is spread unevenly ({before.text}): {before.moves} of its tasks have to move."
            )
            if not yes:
                if not sys.stdin.isatty():
                    raise UsageError("Nobody can be asked here; add --yes to mean it.")
                typer.confirm("Go on?", abort=True)
            after = spreading.rebalance(wanted, before, lambda line: console.say(f"  {line}"))
    if as_json:
        typer.echo(json.dumps({"moved": before.moves, "before": before.tasks, "after": after.tasks}, indent=2))
    elif before.moves:
        console.say(f"The application is spread evenly now ({after.text}).")
    else:
        console.say(f"The application is spread evenly ({before.text}); there is nothing to do.")
