"""`./pidea certificate STACK`: the edge's certificate, shown or set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(certificate)


def certificate(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    file: Annotated[Path | None, typer.Option(help="Set this: the certificate, its issuers and its key, PEM.")] = None,
    self_signed: Annotated[bool, typer.Option("--self-signed", help="Make one by an authority of our own.")] = False,
    name: Annotated[list[str] | None, typer.Option(help="With --self-signed: a host or address; repeat it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Show the edge's certificate, or set another; `up` then brings it to the edge."""
    from ops import console
    from ops.errors import UsageError
    from ops.stack import certificates, deploy, environment, instances, lock
    from ops.stack.pulumi import Pulumi
    from ops.stack.reference import resolve

    if file and self_signed:
        raise UsageError("--file and --self-signed exclude each other; choose one.")
    if name and not self_signed:
        raise UsageError("--name goes with --self-signed; a certificate from elsewhere has its names already.")
    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)
    with lock.exclusive(wanted):
        pulumi = Pulumi(wanted, environment.tools())
        state = deploy.open_state(pulumi)
        if file:
            found = certificates.store(pulumi, state, _text(file))
        elif self_signed:
            found = certificates.make_self_signed(pulumi, state, *certificates.told_apart(name or ()))
        else:
            known = certificates.current(pulumi, state)
            if known is None:
                raise UsageError(f"Stack {wanted.name} has no certificate; set one with --file or --self-signed.")
            found = known
    authority = certificates.authority_file(wanted)
    ours = authority.exists() and authority.read_text().strip() in found.chain
    if as_json:
        summary = {
            "hosts": found.hosts,
            "not_before": found.not_before.isoformat(),
            "not_after": found.not_after.isoformat(),
            "authority": str(authority) if ours else None,
        }
        typer.echo(json.dumps(summary, indent=2))
        return
    typer.echo(f"for: {', '.join(found.hosts)}")
    typer.echo(f"ends: {found.not_after:%Y-%m-%d %H:%M} UTC")
    if ours:
        typer.echo(f"clients trust it by: {authority}")
    if file or self_signed:
        console.say(f"It is set; `./pidea up {wanted.arguments}` brings it to the edge.")


def _text(file: Path) -> str:
    from ops.errors import UsageError

    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as PEM: {error}.") from error
