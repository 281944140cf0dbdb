"""What the user sees: progress on stderr, results on stdout, colour only on a terminal (Rich decides)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
_LINE_SECONDS = 10.0


def say(message: str) -> None:
    """One line of progress."""
    err.print(message)


@contextlib.contextmanager
def bar() -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function that shows how far something is: its name, bytes done, bytes in all (0: nobody knows).

    On a terminal that is a bar, elsewhere a line every ten seconds.
    """
    shown = Progress(
        *(TextColumn("  {task.description}"), BarColumn(), DownloadColumn(binary_units=True)),
        *(TransferSpeedColumn(), TimeRemainingColumn()),
        console=err,
        transient=True,
    )
    task: TaskID | None = None
    said_at = time.monotonic()

    def show(what: str, done_bytes: int, total_bytes: int) -> None:
        nonlocal task, said_at
        # An estimate: what is through may be more.
        total = max(done_bytes, total_bytes) if total_bytes else None
        if not err.is_terminal:
            if time.monotonic() >= said_at + _LINE_SECONDS:
                said_at = time.monotonic()
                say(f"  {what}: {done_bytes >> 20}{f' of {total >> 20}' if total else ''} MiB")
            return
        if task is None:
            shown.start()
            task = shown.add_task(what, total=total)
        shown.update(task, description=what, completed=done_bytes, total=total)

    try:
        yield show
    finally:
        if task is not None:  # else it would write an empty line
            shown.stop()


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Announces a step, then prints how long it took, in seconds. A failure is left to the caller's error."""
    started = time.monotonic()
    err.print(f"[bold]▸[/bold] {title} …")
    yield
    err.print(f"[green]✓[/green] {title} [dim]({time.monotonic() - started:.1f} s)[/dim]")
