"""`./pidea env`: what a shell needs so that plain `pulumi` works on the same stacks."""

from __future__ import annotations

import json
import shlex
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(env)


def env(
    stack: Annotated[str, typer.Argument(help="Only needed with --instance.")] = "staging",
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print what a shell needs for plain Pulumi: eval "$(./pidea env)", then pulumi up -s staging."""
    from ops.stack import backend, environment, instances, target
    from ops.stack.pulumi import Pulumi
    from ops.stack.reference import environments, resolve

    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)
    tools = environment.tools()
    chosen = backend.choose(wanted)
    if chosen.is_ours and instance is None:
        # `pulumi up -s NAME` finds a stack only where it exists already.
        for name in environments():
            pulumi = Pulumi(resolve(name), tools)
            if pulumi.state() is None:
                pulumi.init()
    exported = environment.for_shell(tools, chosen, wanted, target.pulumi_engine_of(wanted))
    if as_json:
        typer.echo(json.dumps(exported, indent=2, sort_keys=True))
    else:
        for name, value in sorted(exported.items()):
            typer.echo(f"export {name}={shlex.quote(value)}")
