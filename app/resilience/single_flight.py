"""Single flight: concurrent identical reads share one execution."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from app import context
from app.errors import DeadlineExceededError
from app.events import DedupRefused, Listener, ReadShared
from app.resilience.timeouts import has_ended

T = TypeVar("T")


class _Flight(Generic[T]):
    __slots__ = ("task", "waiters")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiters = 0


class SingleFlight(Generic[T]):
    """Callers with the same key while a call is in flight get its result or its exception.

    A caller that is cancelled leaves the others alone; when the last one goes, the execution is cancelled. It may take
    `execution_seconds`, as long as one caller alone could wait. Who has waited `timeout_seconds` for somebody else's
    call makes one of its own; with `max_flights` keys in the air, further keys are not shared.
    """

    def __init__(self, emit: Listener, *, timeout_seconds: float, execution_seconds: float, max_flights: int) -> None:
        self._emit = emit
        self._timeout_seconds = timeout_seconds
        self._execution_seconds = execution_seconds
        self._max_flights = max_flights
        self._flights: dict[Hashable, _Flight[T]] = {}

    @property
    def in_flight(self) -> int:
        """Executions that others may join."""
        return len(self._flights)

    async def run(self, key: Hashable, operation: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """The result for `key`, and whether it is somebody else's.

        Raises what the execution raises, and DeadlineExceededError when the caller's own time is over before that.
        """
        flight = self._flights.get(key)
        if flight is not None:
            return await self._join(key, flight, operation)
        if len(self._flights) >= self._max_flights:
            self._emit(DedupRefused("full"))
            return await operation(), False
        flight = _Flight(asyncio.create_task(self._detached(operation)))
        self._flights[key] = flight
        flight.task.add_done_callback(lambda ended: self._ended(key, ended))
        try:
            return await self._wait(key, flight, context.remaining_seconds()), False
        except _WaitedTooLongError:
            raise _deadline_exceeded() from None

    async def _join(
        self, key: Hashable, flight: _Flight[T], operation: Callable[[], Coroutine[Any, Any, T]]
    ) -> tuple[T, bool]:
        self._emit(ReadShared())
        remaining_seconds = context.remaining_seconds()
        limit_seconds = min(self._timeout_seconds, remaining_seconds)
        try:
            return await self._wait(key, flight, limit_seconds), True
        except _WaitedTooLongError:
            if remaining_seconds <= self._timeout_seconds:
                raise _deadline_exceeded() from None
        self._emit(DedupRefused("timeout"))
        return await operation(), False

    async def _wait(self, key: Hashable, flight: _Flight[T], limit_seconds: float) -> T:
        flight.waiters += 1
        try:
            # Unlike awaiting the task itself, this does not cancel it with the caller.
            if not await has_ended(flight.task, limit_seconds):
                raise _WaitedTooLongError
            return flight.task.result()
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.task.done():
                # Nobody may join an execution that is going away.
                self._forget(key, flight.task)
                flight.task.cancel()

    async def _detached(self, operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # The first caller's deadline is not that of those who join.
        context.use_deadline(self._execution_seconds)
        return await operation()

    def _ended(self, key: Hashable, task: asyncio.Task[T]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            # Looked at here too: all waiters may have left a moment before it failed.
            task.exception()

    def _forget(self, key: Hashable, task: asyncio.Task[T]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]


def _deadline_exceeded() -> DeadlineExceededError:
    return DeadlineExceededError("the time that the client gave the request is over")


class _WaitedTooLongError(Exception):
    """The flight was still in the air when the limit was over."""
