"""`./pidea upgrade STACK postgres|redis`: the version that the settings name, with the data of before."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ops.upgrade.work import Work


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(upgrade)


def upgrade(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    server: Annotated[str, typer.Argument(help="postgres or redis.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Say what would be done; change nothing.")] = False,
    back: Annotated[bool, typer.Option("--back", help="To the earlier version that the settings name again.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove the files of versions that do not run: no way back after it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Go to the version in the settings (pidea:postgres or pidea:redis, version): backup, change, comparison."""
    from ops import console
    from ops.errors import UsageError
    from ops.stack import deploy, instances, lock
    from ops.stack.reference import resolve
    from ops.upgrade import run

    if forget and (check or back):
        raise UsageError("--forget goes with neither --check nor --back; choose one.")
    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)
    work = run.work_of(wanted, server, lambda line: console.say(f"  {line}"))
    if not (yes or check or sys.stdin.isatty()):
        raise UsageError("Nobody can be asked here; add --yes to mean it.")
    with lock.exclusive(wanted):
        if check and (stopped := work.stopped()):
            raise UsageError(f"{' and '.join(stopped)} do not run: an upgrade was interrupted; `{work.command}`.")
        was_interrupted = run.put_right(work)
        if forget:
            _forget(work, yes=yes)
            return
        change, image = run.change_of(work)
        if change.is_none and (was_interrupted or not back):
            if as_json:
                typer.echo(json.dumps({"server": server, "from": change.running, "to": change.wanted}))
            console.say(f"{change.title} {change.running} runs, as the settings ask for; nothing is to be done.")
            return
        prepared = run.prepare(work, change, image, back=back)
        if check:
            typer.echo(json.dumps(prepared.as_json(), indent=2) if as_json else "\n".join(prepared.lines))
            return
        for line in prepared.lines:
            console.say(line)
        if not yes:
            typer.confirm("Go on?", abort=True)
        run.make_ready(prepared)
        done = run.make(prepared)
    # Changes nothing of the server any more: the state, the outputs and the record of deployments are brought up to it.
    deploy.deploy(wanted)
    if as_json:
        typer.echo(json.dumps(done, indent=2))
    console.say(f"{change.title} of {wanted.name} is {change.wanted}, was {change.running}; all services are well.")


def _forget(work: Work, *, yes: bool) -> None:
    from ops import console
    from ops.errors import UsageError
    from ops.upgrade import postgres

    if work.what != "postgres":
        raise UsageError("Redis keeps no files of an earlier version; there is nothing to forget.")
    running = work.running()
    folders, size = postgres.forget(work, running)
    if not folders:
        console.say(f"Only the files of PostgreSQL {running} are there; nothing is to be done.")
        return
    console.say(
        f"PostgreSQL {running} runs. To be removed, {size >> 20} MiB: {', '.join(folders)}; no way back after it"
    )
    if not yes:
        typer.confirm("Go on?", abort=True)
    postgres.remove(work, folders)
    console.say(f"{', '.join(folders)} are gone.")
