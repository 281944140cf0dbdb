"""All writers and the prober, until the time is over; then it waits to be removed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import secrets
import traceback

from chaos import settings as reading
from chaos.lines import tell
from chaos.pace import write_steadily
from chaos.postgres_writer import Inserter
from chaos.prober import Prober
from chaos.redis_writers import Follower, Sticky

# A name of a node that is gone can hold a resolver's thread for seconds.
RESOLVERS = 64


async def main() -> None:
    """A writer's name is new with every start: a container that came again is another writer."""
    settings = reading.load()
    asyncio.get_running_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(RESOLVERS))
    writer = f"{settings.run}.{settings.slot}.{secrets.token_hex(3)}"
    tell("started", writer=writer)
    await asyncio.gather(
        write_steadily(settings, "redis", writer, Follower(settings, writer).write),
        write_steadily(settings, "sticky", writer, Sticky(settings, writer).write),
        write_steadily(settings, "postgres", writer, Inserter(settings, writer).write),
        Prober(settings).run(),
    )
    tell("over", writer=writer)
    await asyncio.Event().wait()


async def run() -> None:
    """One that fails ends all: half of the clients would look like an outage. Swarm starts them again."""
    try:
        await main()
    except Exception:
        traceback.print_exc()
        # Not by way of the other tasks: a library that swallows its cancellation would keep the process.
        os._exit(1)


asyncio.run(run())
