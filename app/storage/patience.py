"""Waiting for the next primary: while one PostgreSQL server hands over to another, requests wait and do not fail."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

T = TypeVar("T")

# A hand-over takes a second or two. When a server has died, the next one is there within nine.
PATIENCE_SECONDS = 9.0
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
    # "another operation is in progress": the server's farewell was read at the moment the connection was used again.
    asyncpg.InternalClientError,
    # No word, although the server itself ends what takes too long: it stands still.
    TimeoutError,
)


class NotConnectedError(ConnectionError):
    """There was no connection to do anything with."""


class UndecidedError(NotConnectedError):
    """This attempt did nothing, since another one is not over: its own before, or a write to the same chat."""


# Whatever was asked for, nothing of it was done.
_NOTHING_DONE: tuple[type[Exception], ...] = (NotConnectedError, asyncpg.exceptions.ReadOnlySQLTransactionError)


_MISSING: tuple[type[Exception], ...] = (NotConnectedError, *MOVED)


class Patience:
    """`seconds` is how long the primary may be missing until nobody waits for it any more; 0: nobody ever does.

    One of those who wait looks for it, the others wait for its word: to log in at several servers costs both sides more
    than most queries do, just when they have the least to give. Belongs to one event loop.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._missing_since: float | None = None
        self._is_looked_for = False
        # Set when the primary is found, or when nobody looks any more; then another one takes its place.
        self._news = asyncio.Event()

    async def call(self, run: Callable[[], Awaitable[T]], *, repeatable: bool) -> T:
        """The result of `run`, which is run again while the primary moves; its error when that takes too long.

        `repeatable`: also where nobody knows whether it was done before the connection broke.
        """
        began = self._clock()
        looks = False
        try:
            while True:
                try:
                    result = await run()
                except _MISSING as error:
                    left_seconds = self._left_seconds(began)
                    if not (repeatable or isinstance(error, _NOTHING_DONE)) or left_seconds <= PAUSE_SECONDS:
                        raise
                    looks = looks or await self._takes_over(left_seconds)
                    if not looks and self._missing_since is not None:
                        raise
                else:
                    if self._missing_since is not None:
                        self._missing_since = None
                        self._tell()
                    return result
                if looks:
                    # Jitter: the other replicas look as well.
                    await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311
        finally:
            if looks:
                self._is_looked_for = False
                self._tell()

    def _left_seconds(self, began: float) -> float:
        now = self._clock()
        if self._missing_since is None:
            self._missing_since = now
        return min(began, self._missing_since) + self.seconds - now

    async def _takes_over(self, seconds: float) -> bool:
        """Whether it is the caller's turn to look. Else it waited until the primary was found, or for `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._missing_since is not None and self._is_looked_for:
                    await self._news.wait()
        if self._missing_since is None or self._is_looked_for:
            return False
        self._is_looked_for = True
        return True

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
