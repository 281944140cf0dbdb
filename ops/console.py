"""What the user sees: progress on stderr, results on stdout, colour only on a terminal (Rich decides)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line of progress."""
    err.print(message)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Announces a step, then prints how long it took, in seconds. A failure is left to the caller's error."""
    started = time.monotonic()
    err.print(f"[bold]▸[/bold] {title} …")
    yield
    err.print(f"[green]✓[/green] {title} [dim]({time.monotonic() - started:.1f} s)[/dim]")
