"""Single flight: concurrent identical reads share one execution."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from app.events import Listener, ReadShared

T = TypeVar("T")


class _Flight(Generic[T]):
    __slots__ = ("task", "waiters")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiters = 0


class SingleFlight(Generic[T]):
    """Callers with the same key while a call is in flight get its result or its exception.

    A caller that is cancelled leaves the others alone; when the last one goes, the execution is cancelled.
    """

    def __init__(self, emit: Listener) -> None:
        self._emit = emit
        self._flights: dict[Hashable, _Flight[T]] = {}

    @property
    def in_flight(self) -> int:
        """Executions running now."""
        return len(self._flights)

    async def run(self, key: Hashable, operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Join the call in flight for `key`, or start `operation` and let others join."""
        flight = self._flights.get(key)
        if flight is None:
            flight = _Flight(asyncio.create_task(operation()))
            self._flights[key] = flight
            started = flight
            flight.task.add_done_callback(lambda _: self._forget(key, started))
        else:
            self._emit(ReadShared())
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.task.done():
                # Nobody may join an execution that is going away.
                self._forget(key, flight)
                flight.task.cancel()

    def _forget(self, key: Hashable, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
