"""`./pidea rollback STACK`: the last good deployment again."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(rollback)


def rollback(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    to: Annotated[int | None, typer.Option(help="The number of a deployment, from --list.")] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Say what there is to go back to; change nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on though a cluster is degraded.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list for scripts.")] = False,
) -> None:
    """Return to the last good deployment: its sources, its settings, its images. Data stays as it is."""
    from ops import console
    from ops.errors import UsageError
    from ops.stack import history, instances
    from ops.stack.reference import resolve
    from ops.stack.rollback import roll_back

    wanted = resolve(stack, instance)
    instances.require(wanted)
    if list_only:
        found = history.deployments(wanted)
        if as_json:
            typer.echo(json.dumps(history.as_json(found), indent=2))
            return
        for one in found:
            typer.echo(one.text)
        return
    chosen = history.last_good(wanted, to)
    console.say(f"{wanted.name} goes back to deployment {chosen.text}")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("Nobody can be asked here; add --yes to mean it.")
        typer.confirm("Go on?", abort=True)
    roll_back(wanted, chosen, ("--force",) if force else ())
    console.say(f"Stack {wanted.name} is back at deployment {chosen.stands_for}.")
