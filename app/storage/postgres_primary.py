"""The one of several PostgreSQL servers that takes writes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg

# What the server that was right the last time is ahead of the others. A server that is gone answers nothing at all, and
# must not make every new connection wait for as long as one may.
HEAD_START_SECONDS = 0.25
# Of what was sent and not even received: a server whose node is gone says no farewell, and a request that waited for a
# statement's whole time has none left for the next primary.
UNHEARD_MILLISECONDS = 2000


class Primary:
    """Connects to whichever of the servers takes writes. `servers`: host and port."""

    def __init__(self, servers: Sequence[tuple[str, int]]) -> None:
        self._servers = list(servers)

    @property
    def servers(self) -> Sequence[tuple[str, int]]:
        """In the order in which the next connection asks them."""
        return tuple(self._servers)

    async def connect(self, dsn: None = None, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
        """A connection to the primary, with asyncpg's `options`; `dsn` is for the pool, which gives one in any case.

        Asks the last primary first, the others a moment later or as soon as it declined, all at once. Raises what the
        most telling server said where none takes writes.
        """
        first, *others = self._servers
        attempts = {self._attempt(first, options): first}
        chosen = None
        try:
            if others:
                done, _ = await asyncio.wait(attempts, timeout=HEAD_START_SECONDS)
                if not done or any(attempt.exception() for attempt in done):
                    attempts |= {self._attempt(server, options): server for server in others}
            chosen = await _first_good(attempts)
        finally:
            for attempt in attempts:
                if attempt is not chosen:
                    # Left to its own end, which comes soon: half-way, asyncpg cannot be stopped without complaints.
                    attempt.add_done_callback(_drop)
        primary = attempts[chosen]
        self._servers.sort(key=lambda server: server != primary)
        connection = chosen.result()
        _end_when_unheard(connection)
        return connection

    @staticmethod
    def _attempt(server: tuple[str, int], options: dict[str, Any]) -> asyncio.Task[asyncpg.Connection[asyncpg.Record]]:
        host, port = server
        return asyncio.create_task(
            asyncpg.connect(**options, host=host, port=port, target_session_attrs="read-write"), name=f"connect {host}"
        )


async def _first_good(
    attempts: Iterable[asyncio.Task[asyncpg.Connection[asyncpg.Record]]],
) -> asyncio.Task[asyncpg.Connection[asyncpg.Record]]:
    left = set(attempts)
    errors: list[BaseException] = []
    while left:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for attempt in done:
            error = attempt.exception()
            if error is None:
                return attempt
            errors.append(error)
    # That a server is a standby is the least telling.
    errors.sort(key=lambda error: isinstance(error, asyncpg.exceptions.TargetServerAttributeNotMatched), reverse=True)
    raise errors[-1]


def _end_when_unheard(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    # asyncpg has no option for it, and uvloop's transport shows its socket by number only.
    number = connection._transport.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(number)) as shared:
        shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MILLISECONDS)


def _drop(attempt: asyncio.Task[asyncpg.Connection[asyncpg.Record]]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()
