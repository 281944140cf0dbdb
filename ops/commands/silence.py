"""`./pidea silence add|list|expire STACK`: alerts that nobody is told of for a while."""

from __future__ import annotations

import json
from typing import Annotated

import typer

_STACK = typer.Argument(help="staging or prod.")
_INSTANCE = typer.Option(help="A copy of that name beside it.")
_LAB = typer.Option("--lab", help="On a lab; --instance names which, if not lab.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Tell nobody of some alerts for a while.", no_args_is_help=True, rich_markup_mode=None)
    group.command()(add)
    group.command("list")(list_silences)
    group.command()(expire)
    app.add_typer(group, name="silence")


def add(
    stack: Annotated[str, _STACK],
    matchers: Annotated[list[str], typer.Argument(metavar="LABEL=VALUE...", help="All must fit; also !=, =~ and !~.")],
    comment: Annotated[str, typer.Option("--comment", "-c", help="Why, for those who wonder.")],
    duration: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 3d.")] = "1h",
    instance: Annotated[str | None, _INSTANCE] = None,
    lab: Annotated[bool, _LAB] = False,
) -> None:
    """Silence the alerts that have all of these labels; prints the silence's id."""
    from ops.errors import UsageError
    from ops.stack import door, silences
    from ops.stack.reference import resolve

    lasts = silences.duration(duration)
    if not comment.strip():
        raise UsageError("--comment must say why: somebody will wonder.")
    typer.echo(silences.add(door.of(resolve(stack, instance, lab=lab)), matchers, lasts, comment))


def list_silences(
    stack: Annotated[str, _STACK],
    instance: Annotated[str | None, _INSTANCE] = None,
    lab: Annotated[bool, _LAB] = False,
    expired: Annotated[bool, typer.Option("--expired", help="Those too that no longer hold.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Show what is silenced, until when, by whom and why."""
    from ops.stack import door, silences
    from ops.stack.reference import resolve

    found = silences.of(door.of(resolve(stack, instance, lab=lab)), expired=expired)
    if as_json:
        typer.echo(json.dumps([one.as_json() for one in found], indent=2))
        return
    for one in found:
        ends = f"{one.ends_at:%Y-%m-%d %H:%M} UTC"
        typer.echo(f"{one.id[:8]}  {one.state}  until {ends}  {one.matchers}  {one.author}: {one.comment}")
    if not found:
        typer.echo("nothing is silenced")


def expire(
    stack: Annotated[str, _STACK],
    silence: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    instance: Annotated[str | None, _INSTANCE] = None,
    lab: Annotated[bool, _LAB] = False,
) -> None:
    """End a silence now."""
    from ops.stack import door, silences
    from ops.stack.reference import resolve

    ended = silences.expire(door.of(resolve(stack, instance, lab=lab)), silence)
    typer.echo(f"{ended.id[:8]} has ended; {ended.matchers} is told again")
