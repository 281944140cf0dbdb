"""`./pidea policy`: what the rules say of a change, and what a rule is about."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer


class Format(enum.StrEnum):
    """What a report can be written as."""

    MARKDOWN = "markdown"
    SARIF = "sarif"
    JUNIT = "junit"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Judge a change by the policy pack, and explain its rules.", no_args_is_help=True)
    group.command(name="report")(report)
    group.command(name="explain")(explain)
    app.add_typer(group, name="policy")


def report(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    as_format: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.MARKDOWN,
    state: Annotated[
        Path | None, typer.Option(help="Compare with the state in this file of `pulumi stack export`.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Write every format into this folder too.")] = None,
) -> None:
    """Preview a stack and say which rules object. Exits with 1 where up would refuse the change."""
    from ops import console
    from ops.policy import reports
    from ops.policy.review import review
    from ops.stack.reference import resolve

    found = review(resolve(stack, instance, lab=lab), state)
    typer.echo(reports.FORMATS[as_format][1](found))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, write in reports.FORMATS.values():
            (folder / name).write_text(write(found) + "\n", encoding="utf-8")
        console.say(f"Written to {folder}.")
    if found.refused:
        raise typer.Exit(1)


def explain(
    rule: Annotated[str | None, typer.Argument(help="Its id; without one, all rules are listed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for scripts.")] = False,
) -> None:
    """Say what a rule is about, why, how to repair what it objects to, and how hard it is where."""
    from ops.policy import explained
    from ops.policy.review import rule as by_id

    rules = [by_id(rule)] if rule else None
    typer.echo(explained.as_json(rules) if as_json else explained.text(rules))
