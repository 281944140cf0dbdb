"""One command at a time on a stack, in this checkout. Pulumi's own lock comes later, when half the work is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import filelock

from ops.errors import StateError
from ops.stack.reference import Stack


@contextlib.contextmanager
def exclusive(stack: Stack) -> Iterator[None]:
    """Holds the stack's lock; the system gives it back however this process ends.

    Raises StateError at once where another command holds it.
    """
    folder = stack.folder / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / f"{stack.name}.pid"
    lock = filelock.FileLock(folder / f"{stack.name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        pid = holder.read_text().strip() if holder.exists() else "unknown"
        raise StateError(
            f"Another ./pidea command is working on stack {stack.name} (pid {pid}); run this again when it has ended."
        ) from None
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
