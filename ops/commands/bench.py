"""`./pidea bench`: our deployments beside `docker stack deploy`, and the backend beside what one would use instead."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Measure, on instances of their own that are removed again.", no_args_is_help=True)
    group.callback()(_group)
    group.command(name="deploy")(deploy)
    group.command(name="app")(application)
    group.command(name="policy")(policy)
    group.command(name="backup")(backup)
    group.command(name="watching")(watching)
    app.add_typer(group, name="bench")


def _group() -> None:
    """Without it, Typer would make a group of one command that command itself."""


def deploy(
    environment: Annotated[str, typer.Argument(help="staging or prod.")] = "staging",
    runs: Annotated[int, typer.Option(min=1, max=20, help="How often; ours and the yardstick take turns.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements for scripts.")] = False,
) -> None:
    """Time a bring-up from cached images, a no-op and a one-service update; each as ratio to docker stack deploy."""
    from rich.table import Table

    from ops import console
    from ops.stack import benchmark

    measured = benchmark.run(environment, runs)
    if as_json:
        typer.echo(json.dumps({item.name: item.as_json() for item in measured}, indent=2))
        return
    table = Table("", "ours (s)", "docker stack deploy (s)", "ratio", box=None, header_style="bold")
    for item in measured:
        table.add_row(item.name, str(item.ours), str(item.theirs), f"{item.ratio:.2f}")
    console.out.print(table)


def policy(
    environment: Annotated[str, typer.Argument(help="staging or prod.")] = "prod",
    runs: Annotated[int, typer.Option(min=2, max=50, help="How often; with and without the pack take turns.")] = 8,
    write: Annotated[bool, typer.Option("--write", help="Put it into docs/policies/time.md.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements for scripts.")] = False,
) -> None:
    """Time a preview with the policy pack and without. Exits with 1 unless the pack is as quick as promised."""
    from ops.bench import policies

    measured = policies.run(environment, runs)
    if write:
        policies.write(measured)
    typer.echo(json.dumps(dataclasses.asdict(measured), indent=2) if as_json else policies.page(measured))
    if not measured.is_quick:
        raise typer.Exit(1)


def backup(
    postgres_mib: Annotated[int, typer.Option(min=16, max=16384, help="What PostgreSQL is filled with.")] = 1024,
    redis_mib: Annotated[int, typer.Option(min=16, max=4096, help="What Redis is filled with.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="What is compared takes turns so often.")] = 2,
    loads: Annotated[int, typer.Option(min=1, max=20, help="Of users, during backups and without, so many each.")] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up for a look.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put the tables into docs/backups.md.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements for scripts.")] = False,
) -> None:
    """Measure backups and restores beside pg_dump, and what users feel of them. Exits with 1 where it is too much."""
    from ops import console
    from ops.bench import backup_report, backups, report

    measured = backups.run(postgres_mib=postgres_mib, redis_mib=redis_mib, rounds=rounds, loads=loads, keep=keep)
    page = backup_report.page(measured)
    if write:
        report.write(backup_report.DOCUMENT, {backup_report.MARKER: page})
    if as_json:
        typer.echo(json.dumps(measured.as_json(), indent=2))
    else:
        console.out.print(page, markup=False)
    if not measured.is_enough:
        raise typer.Exit(1)


def watching(
    seconds: Annotated[int, typer.Option(min=15, max=600, help="How long a round of load is.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="The loads take turns so often.")] = 3,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up for a look.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put the table into docs/dashboards.md.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements for scripts.")] = False,
) -> None:
    """Measure what it costs to watch a staging stack under load. Exits with 1 where it is more than promised."""
    from ops import console
    from ops.bench import report
    from ops.bench import watching as bench

    measured = bench.run(seconds=seconds, rounds=rounds, keep=keep)
    page = bench.page(measured)
    if write:
        report.write(bench.DOCUMENT, {bench.MARKER: page})
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(measured), indent=2))
    else:
        console.out.print(page, markup=False)
    if not measured.is_cheap:
        raise typer.Exit(1)


class Section(enum.StrEnum):
    """What can be measured of the backend."""

    variants = "variants"
    libraries = "libraries"
    identical = "identical"
    monitoring = "monitoring"
    outages = "outages"
    soak = "soak"


# What is measured in rounds of so many seconds.
ROUNDS = {Section.variants.value, Section.libraries.value, Section.monitoring.value}
BY_DEFAULT = [Section.variants, Section.libraries, Section.identical, Section.monitoring, Section.outages]


def application(
    only: Annotated[list[Section] | None, typer.Option(help="Just this; may be given several times.")] = None,
    seconds: Annotated[int, typer.Option(min=2, max=120, help="How long a round of load is.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="What is compared takes turns so often.")] = 3,
    soak_seconds: Annotated[int, typer.Option(min=60, max=7200, help="For --only soak.")] = 600,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up for the next run.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put the tables into app/README.md.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements for scripts.")] = False,
) -> None:
    """Measure the backend on a staging stack of its own, under load from within: about a quarter of an hour."""
    from ops import console, paths
    from ops.bench import measure, report, stand

    tables: dict[str, str] = {}
    figures: dict[str, object] = {}

    def keep_result(section: Section, table: str, measured: object) -> None:
        tables[section.value] = table
        figures[section.value] = measured
        if not as_json:
            console.out.print(f"\n{section.value}\n\n{table}\n", markup=False)

    with stand.opened(keep=keep) as opened:
        opened.seed()
        for section in only or BY_DEFAULT:
            with console.step(section.value):
                match section:
                    case Section.variants:
                        calm, limit = measure.variants(opened, seconds, rounds)
                        keep_result(section, report.variants(calm, limit), {"calm": calm, "limit": limit})
                    case Section.libraries:
                        loads, frozen = measure.libraries(opened, seconds, rounds)
                        table = f"{report.libraries(loads)}\n\n{report.outages(frozen)}"
                        keep_result(section, table, {"load": loads, "redis_frozen": frozen})
                    case Section.identical:
                        calls = measure.identical(opened)
                        keep_result(section, report.identical(calls), calls)
                    case Section.monitoring:
                        loads = measure.monitoring(opened, seconds, 2 * rounds)
                        keep_result(section, report.monitoring(loads), loads)
                    case Section.outages:
                        found = measure.outages(opened)
                        keep_result(section, report.outages(found), found)
                    case Section.soak:
                        lasted = measure.soak(opened, soak_seconds)
                        keep_result(section, report.soak(lasted), lasted)
    if write:
        if ROUNDS.intersection(figures):
            tables["conditions"] = report.conditions(seconds, rounds)
        report.write(paths.REPO / "app" / "README.md", tables)
    if as_json:
        typer.echo(json.dumps(figures, indent=2, default=dataclasses.asdict))
