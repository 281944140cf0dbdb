"""`./pidea drain STACK NODE`: takes a node out for a while."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(drain)


def drain(
    stack: Annotated[str, typer.Argument(help="prod.")],
    node: Annotated[str, typer.Argument(help="The node's name in the swarm: docker node ls.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    end: Annotated[bool, typer.Option("--end", help="Let it in again, and wait until all is well.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on though a cluster is degraded.")] = False,
) -> None:
    """Take a node out: its primaries are handed over, then its tasks end. --end lets it in again."""
    from ops import console
    from ops.stack import drain as draining
    from ops.stack import instances, lock
    from ops.stack.reference import resolve

    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)

    def say(line: str) -> None:
        console.say(f"  {line}")

    with lock.exclusive(wanted):
        if end:
            draining.admit(wanted, node, say)
            console.say(
                f"{node} is in, and all is well; `./pidea rebalance {wanted.arguments}` spreads the application."
            )
        else:
            draining.drain(wanted, node, say, force=force)
            console.say(f"{node} is out; `./pidea drain {stack} {node} --end` lets it in again.")
