"""`./pidea test`: the checks and the tests."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("test")(run_tests)


def run_tests(
    pytest_args: Annotated[
        list[str] | None, typer.Argument(metavar="[-- PYTEST_ARGS]", help="Handed to pytest, after `--`.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Only what needs neither Docker nor Pulumi nor servers.")
    ] = False,
    long: Annotated[
        bool,
        typer.Option("--long", help="Also day-2 work on prod, and labs and clusters that are broken: an hour more."),
    ] = False,
) -> None:
    """Run the checks and all tests that this machine can run; pytest's summary comes last."""
    from ops.commands.check import check
    from ops.host import checks, setup

    if not fast:
        setup.run()
        checks.ensure_servers()
    check()
    checks.become_pytest(pytest_args or [], fast=fast, long=long)
