"""A bounded loop at a steady rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from chaos.lines import tell
from chaos.settings import Settings

Attempt = Callable[[int], Awaitable[tuple[str, str, str]]]


async def write_steadily(settings: Settings, store: str, writer: str, attempt: Attempt) -> None:
    """Calls `attempt(number)` so many times a second, one after the other, until the time is over.

    It answers (outcome, server, error); what it took is not made up for, so that a writer never has two on the way.
    """
    end = time.monotonic() + settings.seconds
    pause = 1 / settings.writes_per_second
    number = 0
    while time.monotonic() < end:
        # Tells when it was tried too, in milliseconds; never the same twice, whatever the clock does.
        number = max(number + 1, time.time_ns() // 1_000_000)
        begun = time.monotonic()
        outcome, server, error = await attempt(number)
        tell(
            "write",
            store=store,
            writer=writer,
            number=number,
            at=time.time(),
            outcome=outcome,
            server=settings.member(server),
            error=error,
        )
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - begun)))
