"""`./pidea lab`: a swarm of several machines on this one, and faults of its nodes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ops.lab.faults import Fault
    from ops.lab.reference import Lab

_Name = Annotated[str, typer.Option("--name", help="Which lab.")]
_Node = Annotated[str, typer.Argument(help="n1, n2, …")]
_Json = Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="A swarm of several machines on this one, and faults of its nodes.", no_args_is_help=True)
    for command in (up, down, status, env, kill, stop, start, pause, unpause, partition, slow, heal):
        group.command()(command)
    group.command(name="list")(list_labs)
    group.command(name="disk-full")(disk_full)
    app.add_typer(group, name="lab")


def up(
    name: _Name = "lab",
    nodes: Annotated[int | None, typer.Option(help="How many, an odd number; 3 for a new lab.")] = None,
    as_json: _Json = False,
) -> None:
    """Make a lab, or bring back the nodes of one that is there."""
    from ops import console
    from ops.lab import up as raising
    from ops.lab.reference import resolve
    from ops.stack.progress import table

    lab = resolve(name)
    done = raising.up(lab, nodes)
    if as_json:
        summary = {"name": name, "made": done.made, "healed": done.healed, **dataclasses.asdict(done.record)}
        summary["steps"] = [{"step": title, "seconds": round(seconds, 1)} for title, seconds in done.steps]
        typer.echo(json.dumps(summary, indent=2))
    elif done.made:
        console.err.print(table(done.steps))
        on = "" if name == "lab" else f" --instance {name}"
        console.say(f"Lab {name} is up with {done.record.nodes} nodes; `./pidea up prod --lab{on}` deploys to it.")
    elif done.healed:
        console.say(f"Lab {name} was there; {', '.join(done.healed)} brought back.")
    else:
        console.say(f"Lab {name} is already running.")


def down(name: _Name = "lab") -> None:
    """Remove a lab with everything in it: nodes, volumes, network, registry, and the state of stacks on it."""
    from ops import console
    from ops.lab import down as removing
    from ops.lab.reference import resolve

    removed = removing.down(resolve(name))
    said = f"Lab {name} is down, {removed} containers, volumes and networks removed."
    console.say(said if removed else f"There is no lab {name}; nothing to remove.")


def status(name: _Name = "lab", as_json: _Json = False) -> None:
    """Show the nodes of a lab. Exits with 0 only where all are well."""
    from rich.table import Table

    from ops import console
    from ops.lab import status as looking
    from ops.lab.reference import resolve
    from ops.lab.stacks import urls

    lab = resolve(name)
    found = looking.of(lab)
    reached = urls(lab, found)
    if as_json:
        typer.echo(json.dumps(found.as_json() | {"urls": reached}, indent=2))
    else:
        table = Table("node", "slot", "address", "state", "role", "swarm", "faults", box=None, header_style="bold")
        for node in found.nodes:
            colour = "green" if node.is_well else "red"
            state = f"[{colour}]{node.state}[/{colour}]"
            cells = (node.name, str(node.slot), node.address, state, node.role, node.ready, ", ".join(node.faults))
            table.add_row(*cells)
        console.out.print(table)
        typer.echo(f"registry: {found.record.registry}")
        for title, url in reached.items():
            typer.echo(f"{title}: {url}")
    if not found.is_well:
        raise typer.Exit(1)


def env(
    name: _Name = "lab",
    node: Annotated[str | None, typer.Option(help="That node's engine, not the first manager's.")] = None,
    by_tls: Annotated[bool, typer.Option("--tls", help="By its address and TLS, as on another machine.")] = False,
    as_json: _Json = False,
) -> None:
    """Print what a shell needs for plain docker on the lab: eval "$(./pidea lab env)", then docker node ls."""
    import shlex

    from ops.lab import endpoint, record, tls
    from ops.lab.reference import resolve, slot_of

    lab = resolve(name)
    known = record.require(lab)
    if by_tls:
        found = tls.of_node(lab, known, slot_of(node, known.nodes) if node else endpoint.manager(lab))
    else:
        found = endpoint.of_node(lab, slot_of(node, known.nodes)) if node else endpoint.of(lab)
    if as_json:
        typer.echo(json.dumps(found.environment, indent=2))
    else:
        for variable, value in found.environment.items():
            typer.echo(f"export {variable}={shlex.quote(value)}")


def list_labs(as_json: _Json = False) -> None:
    """List the labs on this machine."""
    from ops import console
    from ops.lab import status as looking

    found = looking.every()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif not found:
        console.say("There is no lab; make one with `./pidea lab up`.")
    else:
        for lab in found:
            typer.echo(f"{lab['name']}: {lab['running']} of {lab['nodes']} nodes run ({lab['folder']})")


def kill(node: _Node, name: _Name = "lab", as_json: _Json = False) -> None:
    """Cut a node's power: every process ends at once. `start` switches it on again."""
    from ops.lab import faults

    _order(lambda lab: faults.kill(lab, node), name, as_json)


def stop(node: _Node, name: _Name = "lab", as_json: _Json = False) -> None:
    """Shut a node down in order. `start` switches it on again."""
    from ops.lab import faults

    _order(lambda lab: faults.stop(lab, node), name, as_json)


def start(node: _Node, name: _Name = "lab", as_json: _Json = False) -> None:
    """Switch a killed or stopped node on again; it returns to the swarm by itself."""
    from ops.lab import faults

    _order(lambda lab: faults.start(lab, node), name, as_json)


def pause(node: _Node, name: _Name = "lab", as_json: _Json = False) -> None:
    """Let a node stand still: it neither works nor answers, and its connections stay open."""
    from ops.lab import faults

    _order(lambda lab: faults.pause(lab, node), name, as_json)


def unpause(node: _Node, name: _Name = "lab", as_json: _Json = False) -> None:
    """Let a paused node go on."""
    from ops.lab import faults

    _order(lambda lab: faults.unpause(lab, node), name, as_json)


def partition(
    node: _Node,
    others: Annotated[list[str] | None, typer.Option("--from", help="Only from these; repeat it.")] = None,
    one_way: Annotated[bool, typer.Option("--one-way", help="It still hears the others.")] = False,
    name: _Name = "lab",
    as_json: _Json = False,
) -> None:
    """Cut a node off from the other nodes; this machine still reaches it."""
    from ops.lab import faults

    _order(lambda lab: faults.partition(lab, node, others or (), one_way=one_way), name, as_json)


def slow(
    node: _Node,
    loss: Annotated[float, typer.Option(help="Percent of the packets, each way.")] = 0.0,
    rate: Annotated[int | None, typer.Option(help="At most so many kbit/s sent.")] = None,
    delay: Annotated[int | None, typer.Option(help="Milliseconds; where the kernel has netem.")] = None,
    name: _Name = "lab",
    as_json: _Json = False,
) -> None:
    """Make a node's network bad."""
    from ops.lab import faults

    _order(lambda lab: faults.slow(lab, node, loss_percent=loss, rate_kbit=rate, delay_ms=delay), name, as_json)


def disk_full(
    node: _Node,
    free: Annotated[bool, typer.Option("--free", help="Make room again.")] = False,
    name: _Name = "lab",
    as_json: _Json = False,
) -> None:
    """Fill the file system of a node's volumes; this machine's own is not touched."""
    from ops.lab import faults

    _order(lambda lab: (faults.disk_free if free else faults.disk_full)(lab, node), name, as_json)


def heal(
    node: Annotated[str | None, typer.Argument(help="n1, n2, …; every running node without one.")] = None,
    name: _Name = "lab",
    as_json: _Json = False,
) -> None:
    """End partition, slow and disk-full."""
    from ops.lab import faults, status
    from ops.lab.reference import resolve

    lab = resolve(name)
    for one in [node] if node else [found.name for found in status.of(lab).nodes if found.state == "running"]:
        _show(faults.heal(lab, one), as_json=as_json)


def _order(order: Callable[[Lab], Fault], name: str, as_json: bool) -> None:
    from ops.lab.reference import resolve

    _show(order(resolve(name)), as_json=as_json)


def _show(done: Fault, *, as_json: bool) -> None:
    from ops import console

    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done)))
    else:
        console.say(f"{done.kind} {done.node}: {done.detail} [dim]({done.seconds:.1f} s)[/dim]")
