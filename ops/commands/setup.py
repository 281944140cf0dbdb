"""`./pidea setup`: makes this machine ready."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(setup)


def setup(as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False) -> None:
    """Make this machine ready: Docker, swarm, toolchain, source images."""
    from ops import console
    from ops.host.setup import run

    report = run()
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        console.say("Ready. Next: ./pidea up staging")
