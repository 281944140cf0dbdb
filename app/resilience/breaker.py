"""Circuit breaker: stop calling a dependency that keeps failing, try it again after a while."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.errors import BreakerOpenError
from app.events import BreakerChanged, BreakerState, Listener

T = TypeVar("T")


class CircuitBreaker:
    """Closed until `failure_threshold` failures in a row; open for `open_seconds`; then one probe decides.

    Calls that overlap and fail count as one failure: a single hiccup fails all that are in flight, and must not
    open the breaker because there happened to be many. Results of calls that began before the last change of
    state are not counted: a slow success from before an outage says nothing about now.

    Belongs to one event loop.
    """

    def __init__(
        self,
        dependency: str,
        emit: Listener,
        *,
        failure_threshold: int = 5,
        open_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dependency = dependency
        self._emit = emit
        self._failure_threshold = failure_threshold
        self._open_seconds = open_seconds
        self._clock = clock
        self._state = BreakerState.CLOSED
        self._era = 0
        self._calls = 0
        self._counted_calls = 0
        self._failures = 0
        self._opened_at = 0.0
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """The state now; open turns half-open only when a call is let through."""
        return self._state

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run `operation` or raise BreakerOpenError at once. Its exceptions pass through and count as failures."""
        era = self._admit()
        self._calls += 1
        number = self._calls
        try:
            result = await operation()
        except Exception:
            if era == self._era and number > self._counted_calls:
                self._counted_calls = self._calls
                self._failed()
            raise
        except BaseException:
            # Cancelled by the caller: that says nothing about the dependency. Let the next call probe.
            if era == self._era:
                self._probing = False
            raise
        if era == self._era:
            self._succeeded()
        return result

    def _admit(self) -> int:
        if self._state is BreakerState.OPEN and self._clock() - self._opened_at >= self._open_seconds:
            self._change(BreakerState.HALF_OPEN)
        if self._state is BreakerState.OPEN:
            raise BreakerOpenError(f"{self.dependency} keeps failing; left alone for {self._open_seconds:g} s")
        if self._state is BreakerState.HALF_OPEN:
            if self._probing:
                raise BreakerOpenError(f"{self.dependency} is being probed by another call")
            self._probing = True
        return self._era

    def _succeeded(self) -> None:
        self._failures = 0
        if self._state is BreakerState.HALF_OPEN:
            self._change(BreakerState.CLOSED)

    def _failed(self) -> None:
        self._failures += 1
        if self._state is BreakerState.HALF_OPEN or self._failures >= self._failure_threshold:
            self._opened_at = self._clock()
            self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        self._state = state
        self._era += 1
        self._failures = 0
        self._probing = False
        self._emit(BreakerChanged(self.dependency, state))
