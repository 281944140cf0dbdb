"""`./pidea recover STACK`: a whole stack on an empty machine, from its backups."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(recover)


def recover(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    password_file: Annotated[
        Path, typer.Option(help="A file with the backups' password, as `backup password` printed it.")
    ],
    file: Annotated[
        Path | None, typer.Argument(help="What `backup export` wrote; without it, where the settings keep backups.")
    ] = None,
    offsite: Annotated[bool, typer.Option("--offsite", help="From the repository off site.")] = False,
    at: Annotated[str | None, typer.Option(help="A moment, instead of the newest: 2026-11-25T16:00:00.")] = None,
    other_stack: Annotated[bool, typer.Option("--other-stack", help="Even what another stack has stored.")] = False,
    newer_schema: Annotated[
        bool, typer.Option("--newer-schema", help="Even a schema that this release does not know.")
    ] = False,
    instance: Annotated[str | None, typer.Option("--instance", help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Bring a stack up on an empty machine and restore it from its backups; says how long that took (RTO)."""
    from ops import console
    from ops.errors import UsageError
    from ops.stack import recover as recovering
    from ops.stack.backups import password_in
    from ops.stack.progress import table
    from ops.stack.reference import resolve

    if file is not None and offsite:
        raise UsageError("Name either the exported file or --offsite.")
    if file is not None and not file.is_file():
        raise UsageError(f"{file} is not there; name the file again.")
    source = recovering.Source(file=file, offsite=offsite, password=password_in(password_file))
    wanted = resolve(stack, instance, lab=lab)
    recovering.check(wanted, source, at)
    if recovering.is_up(wanted) and not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"{wanted.name} is up already; add --yes to give up what it has for what the backups have."
            )
        typer.confirm(f"{wanted.name} is up already. Give up what it has for what the backups have?", abort=True)
    done = recovering.recover(wanted, source, at=at, other_stack=other_stack, newer_schema=newer_schema)
    if as_json:
        typer.echo(json.dumps(done.as_json(), indent=2))
        return
    console.err.print(table(done.steps))
    for name, url in done.urls.items():
        typer.echo(f"{name}: {url}")
    typer.echo(
        f"as it was at {done.at}, {sum(done.rows.values())} rows; served again after {done.rto_seconds:.0f} s (RTO)"
    )
