"""`./pidea logs STACK SERVICE`: what a service wrote; with --trace what all of them wrote about one request."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(logs)


def logs(
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    service: Annotated[str | None, typer.Argument(help="As in status: app, redis, …")] = None,
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines; Ctrl-C ends it.")] = False,
    tail: Annotated[int, typer.Option(min=0, help="How many lines of the past, for each replica.")] = 100,
    trace: Annotated[str | None, typer.Option(help="Of all services, the lines that name this trace.")] = None,
) -> None:
    """Print what a service wrote, or what all of them wrote about one request."""
    from ops.errors import UsageError
    from ops.stack import instances, settings, swarm, target
    from ops.stack import logs as service_logs
    from ops.stack.reference import resolve

    if (service is None) == (trace is None) or (trace and follow):
        raise UsageError("Name a service, or a trace with --trace (which ends by itself), and not both.")
    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)
    name = settings.plan_of(wanted).instance
    where = target.endpoint_of(wanted)
    silence_seconds = 1e7 if follow else 60.0  # a quiet service is no reason to stop following it
    with swarm.client(silence_seconds, where=where) as api, contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        if service is None:
            found = service_logs.of_trace(api, name, str(trace))
        else:
            found = service_logs.lines(api, name, service, follow=follow, tail=tail)
        for line in found:
            typer.echo(line)
