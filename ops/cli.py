"""Puts the commands together and turns errors into one sentence and an exit code."""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys

import typer

from ops import commands
from ops.errors import OpsError

# The order of `--help`: from an empty machine to a running stack, then the developer's commands.
_ORDER = (
    "setup doctor lab up preview certificate policy status logs open destroy env bench check test".split()  # noqa: SIM905 - reads as a line
)


def build() -> typer.Typer:
    """The whole command line. Command modules import what they need when they run, so that `--help` is quick."""
    app = typer.Typer(
        name="pidea",
        help="Provisions and looks after the PIDEA backend's infrastructure.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # plain help: formatting it would take twice as long as everything else
        # A traceback with the values of variables could show a password.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    for name in sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        importlib.import_module(f"{commands.__name__}.{name}").register(app)
    return app


def main() -> None:
    """Runs the command line; exits with the error's code, 130 after Ctrl-C."""
    # A scheduler's way to say Ctrl-C: both end what we started and leave nothing half done.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        build()(prog_name="./pidea")
    except OpsError as error:
        from rich.markup import escape

        from ops import console

        console.err.print(f"[bold red]Error:[/bold red] {escape(str(error))}")
        sys.exit(error.exit_code)
