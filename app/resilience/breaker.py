"""Circuit breaker: stop calling a dependency that keeps failing, try it again after a while."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.errors import BreakerOpenError, DeadlineExceededError
from app.events import BreakerChanged, BreakerState, Listener

T = TypeVar("T")

# So that replicas which opened together do not probe together.
JITTER = 0.1


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
        failures: tuple[type[BaseException], ...] = (Exception,),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dependency = dependency
        self._emit = emit
        self._failure_threshold = failure_threshold
        self._open_seconds = open_seconds
        self._failure_types = failures
        self._clock = clock
        self._state = BreakerState.CLOSED
        self._era = 0
        self._calls = 0
        self._counted_calls = 0
        self._failures = 0
        self._probe_at = 0.0
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """The state now; open turns half-open only when a call is let through."""
        return self._state

    @property
    def retry_after_seconds(self) -> float:
        """How long an open breaker will refuse calls; 0 when it would let one through."""
        return max(0.0, self._probe_at - self._clock()) if self._state is BreakerState.OPEN else 0.0

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run `operation` or raise BreakerOpenError at once. Its exceptions pass through.

        Those of the types `failures` count as failures; DeadlineExceededError and cancellation count as nothing; any
        other is an answer like a result.
        """
        era = self._admit()
        self._calls += 1
        number = self._calls
        try:
            result = await operation()
        except self._failure_types:
            if era == self._era and number > self._counted_calls:
                self._counted_calls = self._calls
                self._failed()
            raise
        except BaseException as error:
            if era == self._era:
                if isinstance(error, Exception) and not isinstance(error, DeadlineExceededError):
                    self._succeeded()
                else:
                    # The caller left, or was in a hurry: that says nothing about the dependency. The next call probes.
                    self._probing = False
            raise
        if era == self._era:
            self._succeeded()
        return result

    def _admit(self) -> int:
        if self._state is BreakerState.OPEN and self._clock() >= self._probe_at:
            self._change(BreakerState.HALF_OPEN)
        if self._state is BreakerState.OPEN:
            raise BreakerOpenError(
                self.dependency, f"{self.dependency} keeps failing; left alone for {self._open_seconds:g} s"
            )
        if self._state is BreakerState.HALF_OPEN:
            if self._probing:
                raise BreakerOpenError(self.dependency, f"{self.dependency} is being probed by another call")
            self._probing = True
        return self._era

    def _succeeded(self) -> None:
        self._failures = 0
        if self._state is BreakerState.HALF_OPEN:
            self._change(BreakerState.CLOSED)

    def _failed(self) -> None:
        self._failures += 1
        if self._state is BreakerState.HALF_OPEN or self._failures >= self._failure_threshold:
            jittered = self._open_seconds * random.uniform(1 - JITTER, 1.0)  # noqa: S311 - not a secret
            self._probe_at = self._clock() + jittered
            self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        self._state = state
        self._era += 1
        self._failures = 0
        self._probing = False
        self._emit(BreakerChanged(self.dependency, state))
