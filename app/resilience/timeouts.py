"""A time limit for calls to a dependency that does not blame the dependency for our own lateness."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# A timer this late means that the process was stalled (no CPU, a long callback), not that the answer was.
LATE_SECONDS = 0.01
# Ends the waiting in a process that is stalled all the time.
MAX_ROUNDS = 10


async def has_ended(task: asyncio.Task[T], seconds: float) -> bool:
    """Wait until `task` has ended, for at most `seconds` (infinity: no limit); whether it has. Leaves it alone.

    What asyncio.wait does for many tasks, for one, and cheaper: it never takes its callback back, a search that grows
    with the number of those who wait. A callback that nobody waits for any more does nothing.
    """
    if task.done():
        return True
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    task.add_done_callback(wake)
    timer = None if math.isinf(seconds) else loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
    return task.done()


async def within(seconds: float, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of `call`, or TimeoutError after `seconds` in which this process was able to notice an answer.

    uvloop runs timers before it reads sockets. After a stall longer than the limit, a plain timeout would throw
    away answers that arrived in time, for all calls in flight at once. So a late timer starts the limit anew.

    The call runs in a task of its own, so that its clean-up after the limit, which may hang too, is not waited for.
    """
    task = asyncio.create_task(call())
    try:
        for _ in range(MAX_ROUNDS):
            due = time.monotonic() + seconds
            if await has_ended(task, seconds):
                return task.result()
            if time.monotonic() - due < LATE_SECONDS:
                break
        raise TimeoutError(f"no answer within {seconds:g} s")
    finally:
        if not task.done():
            # Nobody is left to look at what a call does that was given up.
            task.add_done_callback(_look_at)
            task.cancel()


def _look_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
