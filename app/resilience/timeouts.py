"""A time limit for calls to a dependency that does not blame the dependency for our own lateness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# A timer this late means that the process was stalled (no CPU, a long callback), not that the answer was.
LATE_SECONDS = 0.01
# Ends the waiting in a process that is stalled all the time.
MAX_ROUNDS = 10


async def within(seconds: float, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of `call`, or TimeoutError after `seconds` in which this process was able to notice an answer.

    uvloop runs timers before it reads sockets. After a stall longer than the limit, a plain timeout would throw
    away answers that arrived in time, for all calls in flight at once. So a late timer starts the limit anew.
    """
    task = asyncio.create_task(call())
    # Nobody is left to look at what a call does that was given up.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        for _ in range(MAX_ROUNDS):
            due = time.monotonic() + seconds
            await asyncio.wait({task}, timeout=seconds)
            if task.done() or time.monotonic() - due < LATE_SECONDS:
                break
        if not task.done():
            raise TimeoutError(f"no answer within {seconds:g} s")
        return task.result()
    finally:
        task.cancel()
