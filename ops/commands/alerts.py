"""`./pidea alerts`: makes the alerts of a stack fire on purpose, and measures when somebody is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ops.stack.reference import Stack

_STACK = Annotated[str, typer.Argument(help="staging, or prod on a lab.")]
_INSTANCE = Annotated[str | None, typer.Option(help="A copy of that name beside it.")]
_LAB = Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")]
_CONFIRM = Annotated[
    str | None, typer.Option(help="The stack's whole name, where it is no copy and nobody can be asked.")
]
_JSON = Annotated[Path | None, typer.Option("--json", help="Write all figures to this file; - for the output.")]
_DOCS = Annotated[bool, typer.Option("--write-docs", help="Put what held into docs/alerts.md.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Prove on a running stack that its alerts are told.", no_args_is_help=True)
    group.command(name="list")(list_faults)
    group.command()(prove)
    group.command()(calm)
    app.add_typer(group, name="alerts")


def list_faults(
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Show what can be caused, in which order, and which alerts are not proven on a running stack, with the reason."""
    from rich.table import Table

    from ops import console
    from ops.alerts.rounds import ROUNDS
    from ops.alerts.unproven import UNPROVEN

    if as_json:
        listed = [
            {"fault": fault.name, "summary": fault.summary, "on": kind.value, "round": one.name, "alerts": fault.alerts}
            for kind, found in ROUNDS.items()
            for one in found
            for fault in one.faults
        ]
        typer.echo(json.dumps({"faults": listed, "unproven": dict(UNPROVEN)}, indent=2))
        return
    table = Table("fault", "what is caused", "on", "round", "alerts", box=None, header_style="bold")
    for kind, found in ROUNDS.items():
        for one in found:
            for fault in one.faults:
                table.add_row(fault.name, fault.summary, kind.value, one.name, ", ".join(fault.alerts))
    console.out.print(table)
    for alert, reason in UNPROVEN.items():
        typer.echo(f"{alert} is not: {reason}")


def prove(
    stack: _STACK,
    instance: _INSTANCE = None,
    lab: _LAB = False,
    only: Annotated[
        str | None, typer.Option(help="Just these faults, alerts or rounds, with commas in between.")
    ] = None,
    long: Annotated[bool, typer.Option("--long", help="Also what takes more than ten minutes to be told.")] = False,
    confirm: _CONFIRM = None,
    json_file: _JSON = None,
    write_docs: _DOCS = False,
) -> None:
    """Cause what each alert is about, wait for its page, heal it, wait for its end. Exits with 1 where one failed.

    The stack's own receivers are told of nothing meanwhile.
    """
    from ops.alerts import page, rounds, run
    from ops.alerts.fault import Kind

    wanted = _permitted(stack, instance, lab, confirm)
    kind = Kind.SINGLE if wanted.lab is None else Kind.LAB
    chosen = rounds.chosen(kind, only.split(",") if only else (), long=long)
    report = run.prove(wanted, chosen)
    if write_docs:
        page.write(page.add(report))
    _show(report, json_file)


def calm(
    stack: _STACK,
    minutes: Annotated[float, typer.Option(min=1, max=1440, help="How long.")] = 30.0,
    instance: _INSTANCE = None,
    lab: _LAB = False,
    confirm: _CONFIRM = None,
    json_file: _JSON = None,
    write_docs: _DOCS = False,
) -> None:
    """Use the stack, deploy to it and back it up, while nothing is wrong. Exits with 1 where somebody was told."""
    from ops.alerts import page, run

    report = run.calm(_permitted(stack, instance, lab, confirm), minutes)
    if write_docs:
        page.write(page.add_calm(report))
    _show(report, json_file)


def _permitted(stack: str, instance: str | None, lab: bool, confirm: str | None) -> Stack:
    from ops.chaos import permission
    from ops.stack.reference import resolve

    wanted = resolve(stack, instance, lab=lab)
    # A copy is there to be tried out.
    if wanted.lab is None and wanted.instance is None:
        permission.confirm(wanted, confirm, typer.prompt)
    return wanted


def _show(report: dict[str, Any], json_file: Path | None) -> None:
    from ops import console
    from ops.alerts import shown

    if json_file is not None and str(json_file) != "-":
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if json_file is not None and str(json_file) == "-":
        typer.echo(json.dumps(report, indent=2))
    else:
        console.out.print(shown.of(report))
    if not report["held"]:
        raise typer.Exit(1)
