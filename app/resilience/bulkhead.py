"""Bulkhead: a dependency that has become slow may hold only so many requests."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from app.errors import BulkheadFullError


class Bulkhead:
    """At most `max_running` calls at once; up to `max_waiting` more wait in order; the next ones are refused."""

    def __init__(self, name: str, *, max_running: int, max_waiting: int) -> None:
        self._name = name
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._waiters: deque[asyncio.Future[None]] = deque()
        self.running = 0

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return len(self._waiters)

    def try_acquire(self) -> bool:
        """Take a slot if one is free now; whether it was."""
        # Nobody waits while a slot is free: a slot given back goes to who waits.
        if self.running >= self._max_running:
            return False
        self.running += 1
        return True

    async def acquire(self) -> None:
        """Take a slot, or raise BulkheadFullError at once. Every slot taken must be given back with `release`."""
        if self.try_acquire():
            return
        if len(self._waiters) >= self._max_waiting:
            raise BulkheadFullError(
                self._name, f"{self._name} is busy: {self.running} calls run and {self.waiting} wait already"
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # Cancelled after the slot had been handed over: hand it on.
                self.release()
            else:
                # A release may have passed it by already, between the cancellation and now.
                with suppress(ValueError):
                    self._waiters.remove(turn)
            raise

    def release(self) -> None:
        """Give a slot back: to who has waited longest, if anybody has."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                # The slot changes hands and stays taken, so that nobody slips in between.
                turn.set_result(None)
                return
        self.running -= 1
