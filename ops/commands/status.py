"""`./pidea status STACK`: what runs, and how it is."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(status)


def status(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Show the stack's services: replicas, health, image, memory. Exits with 0 only where all are well."""
    from rich.table import Table

    from ops import console
    from ops.stack import engines, health, instances, settings, swarm, target
    from ops.stack.reference import resolve

    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)
    plan = settings.plan_of(wanted)
    with swarm.client(where=target.endpoint_of(wanted)) as api, engines.of(wanted, api) as engine_of:
        found = health.of(engine_of, swarm.services(api, plan.instance))
    missing = len(plan.services) - len(found)
    is_well = bool(found) and missing <= 0 and all(service.is_well for service in found)
    memory_bytes = sum(service.memory_bytes for service in found)
    host = target.host_of(wanted)
    scheme = "https" if plan.has_tls else "http"
    urls = dict(zip(("app", "operators"), (f"{scheme}://{host}:{p}" for p in plan.published_ports), strict=False))
    if as_json:
        summary = {
            "stack": wanted.name,
            "instance": plan.instance,
            "healthy": is_well,
            "memory_bytes": memory_bytes,
            "urls": urls if found else {},
            "services": health.as_json(found),
        }
        typer.echo(json.dumps(summary, indent=2))
    elif not found:
        console.say(f"Stack {wanted.name} is not up; bring it up with `./pidea up {wanted.arguments}`.")
    else:
        table = Table("service", "running", "health", "image", "memory", "up", box=None, header_style="bold")
        for service in found:
            health_text = "[green]healthy[/green]" if service.is_well else f"[red]{service.problem}[/red]"
            table.add_row(
                service.name.removeprefix(f"{plan.instance}-"),
                f"{service.running}/{service.wanted}",
                health_text,
                service.image,
                f"{service.memory_bytes / 2**20:.0f} MiB",
                health.uptime(service.up_since),
            )
        console.out.print(table)
        typer.echo(f"memory in use: {memory_bytes / 2**20:.0f} MiB")
        for name, url in urls.items():
            typer.echo(f"{name}: {url}")
        if missing > 0:
            console.say(f"[red]{missing} services are missing[/red]; `./pidea up {wanted.arguments}` brings them back.")
    if not is_well:
        raise typer.Exit(1)
