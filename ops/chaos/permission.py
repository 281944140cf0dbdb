"""Who may be broken: a lab always; anything else only by its name, typed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from ops.chaos.scenario import Scenario
from ops.errors import UsageError
from ops.stack.reference import Stack


def check(stack: Stack, scenarios: Sequence[Scenario], confirmed: str | None, ask: Callable[[str], str]) -> None:
    """Raises UsageError, before anything is touched, for a stack that is on no lab and was not named in full.

    `confirmed` is what the command line gave, None where a person is to be asked.
    """
    if stack.lab is not None:
        return
    if needing := [scenario.name for scenario in scenarios if scenario.needs_lab]:
        raise UsageError(f"{', '.join(needing)}: breaks nodes or networks, and {stack.name} is not on a lab.")
    confirm(stack, confirmed, ask)


def confirm(stack: Stack, confirmed: str | None, ask: Callable[[str], str]) -> None:
    """Raises UsageError where the name of a stack that is on no lab was neither given nor typed in full."""
    if confirmed is None:
        if not sys.stdin.isatty():
            raise UsageError(
                f"{stack.name} is not on a lab: its users would feel this. Nobody can be asked here; "
                f"add --confirm {stack.name} to mean it."
            )
        confirmed = ask(f"{stack.name} is not on a lab: its users will feel this. Type its name to go on")
    if confirmed != stack.name:
        raise UsageError(f"{confirmed!r} is not {stack.name!r}; nothing was touched.")
