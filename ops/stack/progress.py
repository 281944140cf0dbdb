"""A run's progress for people: a line for each finished change, on a terminal also what is under way, and the times."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from ops import console
from ops.stack import events
from ops.stack.events import Change, EventLog

_SHOWN_AT_ONCE = 3


@dataclasses.dataclass
class Steps:
    """The steps of a command and how long each took, in seconds."""

    taken: list[tuple[str, float]] = dataclasses.field(default_factory=list)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announces a step and notes its time, also that of a step that failed."""
        started = time.monotonic()
        try:
            with console.step(title):
                yield
        finally:
            self.taken.append((title, time.monotonic() - started))


def table(steps: Sequence[tuple[str, float]]) -> Table:
    """Steps with their times in seconds, and the sum."""
    made = Table("step", "seconds", box=None, header_style="bold")
    made.columns[1].justify = "right"
    for title, seconds in steps:
        made.add_row(title, f"{seconds:.1f}")
    made.add_row("[bold]total[/bold]", f"[bold]{sum(seconds for _, seconds in steps):.1f}[/bold]")
    return made


def show(change: Change) -> None:
    """One line for a finished change."""
    sign = (
        "[red]✗[/red]"
        if change.failed
        else {"create": "[green]+[/green]", "delete": "[red]-[/red]"}.get(change.operation, "[yellow]~[/yellow]")
    )
    console.say(f"  {sign} {escape(change.text)} [dim]{change.seconds:.1f} s[/dim]")


@contextlib.contextmanager
def watching(log: EventLog) -> Iterator[Callable[[], None]]:
    """Gives a function to call often: on a terminal it keeps one line that says what is under way."""
    if not console.err.is_terminal:
        yield lambda: None
        return
    with console.err.status("") as status:
        yield lambda: status.update(_under_way(log))


def _under_way(log: EventLog) -> str:
    now = time.monotonic()
    shown = [
        f"{events.subject_of(urn)} {now - started:.0f} s"
        for urn, (operation, started) in log.running.items()
        if operation not in events.QUIET_OPERATIONS
    ]
    more = f" and {len(shown) - _SHOWN_AT_ONCE} more" if len(shown) > _SHOWN_AT_ONCE else ""
    return escape(", ".join(shown[:_SHOWN_AT_ONCE]) + more) or "looking at what runs"
