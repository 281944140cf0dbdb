"""`./pidea chaos`: breaks a stack on purpose while it is used, and says how it held."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ops.chaos.scenario import Scenario

LabOption = Annotated[str, typer.Option("--lab", help="The lab with the prod stack.")]
StackOption = Annotated[str | None, typer.Option("--stack", help="A stack on no lab instead: its environment.")]
InstanceOption = Annotated[str | None, typer.Option(help="With --stack: a copy of that name beside it.")]
ConfirmOption = Annotated[str | None, typer.Option(help="With --stack: its whole name, where nobody can be asked.")]
RepeatOption = Annotated[int, typer.Option(min=1, max=50, help="Each scenario so often.")]
SeedOption = Annotated[int, typer.Option(help="What the scenario `random` draws by.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write all figures to this file; - for the output.")]
JunitOption = Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML to this file.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write one page with the timelines to this file.")]
DocsOption = Annotated[bool, typer.Option("--write-docs", help="Put the figures and their table into docs.")]
RateOption = Annotated[float, typer.Option(min=1, max=200, help="Requests a second of each client outside.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Break a stack on purpose while it is used, and judge how it held.", no_args_is_help=True)
    group.command(name="list")(list_scenarios)
    group.command(name="run")(run)
    group.command(name="suite")(suite)
    group.command(name="report")(report)
    app.add_typer(group, name="chaos")


def list_scenarios(
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Show the scenarios, what each breaks, and what is asked of the stack meanwhile."""
    from rich.table import Table

    from ops import console
    from ops.chaos import scenarios

    if as_json:
        summary = [
            {
                "name": one.name,
                "summary": one.summary,
                "kind": one.kind.value,
                "limits": one.asked,
                "unavailable": one.unavailable,
                "short": one.name in scenarios.SHORT,
            }
            for one in scenarios.ALL
        ]
        typer.echo(json.dumps(summary, indent=2))
        return
    table = Table("scenario", "what happens", "judged as", box=None, header_style="bold")
    for one in scenarios.ALL:
        table.add_row(one.name, one.summary, f"not available: {one.unavailable}" if one.unavailable else one.kind.value)
    table.add_row("random", "Faults one after the other, drawn by --seed", "more than one failure")
    console.out.print(table)


def run(
    scenario: Annotated[str, typer.Argument(help="One of `./pidea chaos list`, or random.")],
    lab: LabOption = "lab",
    repeat: RepeatOption = 1,
    seed: SeedOption = 1,
    stack: StackOption = None,
    instance: InstanceOption = None,
    confirm: ConfirmOption = None,
    json_file: JsonOption = None,
    junit: JunitOption = None,
    html: HtmlOption = None,
    write_docs: DocsOption = False,
    rate: RateOption = 10.0,
) -> None:
    """Do one scenario. Exits with 0 where the stack held, with 1 where it did not."""
    from ops.chaos import scenarios

    chosen = [scenarios.by_name(scenario, seed)]
    _do(chosen, repeat, lab, stack, instance, confirm, json_file, junit, html, write_docs, rate)


def suite(
    lab: LabOption = "lab",
    repeat: RepeatOption = 1,
    short: Annotated[bool, typer.Option("--short", help="One of each kind of failure, in about 5 minutes.")] = False,
    only: Annotated[str | None, typer.Option(help="Just these, with commas in between.")] = None,
    stack: StackOption = None,
    instance: InstanceOption = None,
    confirm: ConfirmOption = None,
    seed: SeedOption = 1,
    json_file: JsonOption = None,
    junit: JunitOption = None,
    html: HtmlOption = None,
    write_docs: DocsOption = False,
    rate: RateOption = 10.0,
) -> None:
    """Do all scenarios, one after the other. Exits with 0 where the stack held every time, with 1 where it did not."""
    from ops.chaos import scenarios

    chosen = [scenarios.by_name(name, seed) for name in only.split(",")] if only else scenarios.suite(short=short)
    _do(chosen, repeat, lab, stack, instance, confirm, json_file, junit, html, write_docs, rate)


def _do(
    chosen: list[Scenario],
    repeat: int,
    lab: str,
    stack: str | None,
    instance: str | None,
    confirm: str | None,
    json_file: Path | None,
    junit: Path | None,
    html: Path | None,
    write_docs: bool,
    rate: float,
) -> None:
    from ops.chaos import permission, suites
    from ops.chaos.run import Rates
    from ops.stack.reference import resolve

    wanted = resolve(stack, instance) if stack else resolve("prod", lab, lab=True)
    permission.check(wanted, chosen, confirm, typer.prompt)
    files = suites.Files(json=json_file, junit=junit, html=html)
    done = suites.run(wanted, chosen, repeat, Rates(requests=rate), files=files)
    _tell(done, as_json=json_file is not None and str(json_file) == "-", write_docs=write_docs)


def report(
    files: Annotated[list[Path], typer.Argument(help="What `--json` or `--write-docs` wrote, of one stack.")],
    json_file: JsonOption = None,
    junit: JunitOption = None,
    html: HtmlOption = None,
    write_docs: DocsOption = False,
) -> None:
    """Make one report of several measured before. Exits with 0 where the stack held every time, with 1 where not."""
    from ops.chaos import suites
    from ops.chaos.reports import data

    together = data.merged(files)
    if junit or html:
        data.require_timelines(together)
    suites.Files(json=json_file, junit=junit, html=html).write(together)
    _tell(together, as_json=json_file is not None and str(json_file) == "-", write_docs=write_docs)


def _tell(done: dict[str, Any], *, as_json: bool, write_docs: bool) -> None:
    from ops import console, paths
    from ops.chaos.reports import data, table

    if write_docs:
        table.write(paths.REPO / "docs" / "chaos.md", done)
        data.write_figures(paths.REPO / "docs" / "measured" / "chaos.json", done)
    if as_json:
        typer.echo(json.dumps(done, indent=2))
    else:
        console.out.print(table.of(done), markup=False)
    if not done["held"]:
        raise typer.Exit(1)
