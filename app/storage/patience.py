"""Waiting for the next primary: while one PostgreSQL server hands over to another, requests wait and do not fail."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

T = TypeVar("T")

# A hand-over takes a second or two. When a server has died, the next one is there within eight.
PATIENCE_SECONDS = 6.0
PAUSE_SECONDS = 0.1

# What a connection says when the primary is another server now, or none.
MOVED: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.AdminShutdownError,
    asyncpg.exceptions.CrashShutdownError,
    asyncpg.exceptions.CannotConnectNowError,
    # "connection is closed", found when a broken transaction shall be taken back.
    asyncpg.InterfaceError,
)


class NotConnectedError(ConnectionError):
    """There was no connection to do anything with."""


# Whatever was asked for, nothing of it was done.
_NOTHING_DONE: tuple[type[Exception], ...] = (NotConnectedError, asyncpg.exceptions.ReadOnlySQLTransactionError)


_MISSING: tuple[type[Exception], ...] = (NotConnectedError, *MOVED)


class Patience:
    """`seconds` is how long the primary may be missing until nobody waits for it any more; 0: nobody ever does.

    Belongs to one event loop.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._missing_since: float | None = None

    async def call(self, run: Callable[[], Awaitable[T]], *, repeatable: bool) -> T:
        """The result of `run`, which is run again while the primary moves; its error when that takes too long.

        `repeatable`: also where nobody knows whether it was done before the connection broke.
        """
        began = self._clock()
        while True:
            try:
                result = await run()
            except _MISSING as error:
                now = self._clock()
                if self._missing_since is None:
                    self._missing_since = now
                if not (repeatable or isinstance(error, _NOTHING_DONE)):
                    raise
                if now + PAUSE_SECONDS >= min(began, self._missing_since) + self.seconds:
                    raise
            else:
                self._missing_since = None
                return result
            # Jitter: all that wait would come at once.
            await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311
