"""One guarded way to each dependency: deadline, bulkhead, breaker, time limit, retries, in that order."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from app import context
from app.errors import (
    BreakerOpenError,
    BulkheadFullError,
    CallFailedError,
    CallTimedOutError,
    DeadlineExceededError,
)
from app.events import DependencyCalled, DependencyRetried, Listener, Outcome
from app.resilience.breaker import CircuitBreaker
from app.resilience.bulkhead import Bulkhead
from app.resilience.retry import MAX_ATTEMPTS, RetryBudget, back_off_seconds
from app.resilience.timeouts import within

T = TypeVar("T")

# Timers may come this much too early.
TIMER_SECONDS = 0.002


class Dependency:
    """`failures` are the exceptions that mean that the dependency did not do its part; any other is an answer."""

    # What the breaker counts: the kinds into which `call` turns what went wrong.
    FAILURES = (CallFailedError, CallTimedOutError)

    def __init__(
        self,
        name: str,
        emit: Listener,
        *,
        breaker: CircuitBreaker,
        bulkhead: Bulkhead,
        retry_budget: RetryBudget,
        failures: tuple[type[Exception], ...],
    ) -> None:
        self.name = name
        self.breaker = breaker
        self.bulkhead = bulkhead
        self._emit = emit
        self._retry_budget = retry_budget
        self._failures = failures

    async def call(
        self, operation: str, run: Callable[[], Coroutine[Any, Any, T]], *, limit_seconds: float, retry: bool = False
    ) -> T:
        """The result of `run`, which may be run again only if `retry` says so.

        Raises DependencyUnavailableError (one of its kinds says what happened), DeadlineExceededError when the
        request's own time is over, and whatever else `run` raises.
        """
        self._retry_budget.called()
        attempt = 1
        while True:
            try:
                return await self._attempt(operation, run, limit_seconds)
            except (CallFailedError, CallTimedOutError):
                if not retry or attempt == MAX_ATTEMPTS:
                    raise
                attempt += 1
                pause_seconds = back_off_seconds(attempt)
                if context.remaining_seconds() <= pause_seconds:
                    raise
                allowed = self._retry_budget.take()
                self._emit(DependencyRetried(self.name, allowed))
                if not allowed:
                    raise
            await asyncio.sleep(pause_seconds)

    async def _attempt(self, operation: str, run: Callable[[], Coroutine[Any, Any, T]], limit_seconds: float) -> T:
        if context.remaining_seconds() <= 0:
            raise _deadline_exceeded()
        began = time.perf_counter()
        # Stays None when the caller leaves: the call did not end, and nobody knows how it would have.
        outcome: Outcome | None = None
        try:
            result = await self._guarded(run, limit_seconds)
            outcome = "ok"
            return result
        except (BreakerOpenError, BulkheadFullError):
            outcome = "rejected"
            raise
        except (CallTimedOutError, DeadlineExceededError):
            outcome = "timeout"
            raise
        except CallFailedError:
            outcome = "failed"
            raise
        except Exception:
            outcome = "ok"
            raise
        finally:
            if outcome is not None:
                self._emit(DependencyCalled(self.name, operation, outcome, time.perf_counter() - began))

    async def _guarded(self, run: Callable[[], Coroutine[Any, Any, T]], limit_seconds: float) -> T:
        async def limited() -> T:
            # Looked at only now: the request may have waited for its turn.
            remaining_seconds = context.remaining_seconds()
            try:
                return await within(min(remaining_seconds, limit_seconds), run)
            except TimeoutError as error:
                if remaining_seconds < limit_seconds and context.remaining_seconds() <= TIMER_SECONDS:
                    # The client was in a hurry: that says nothing about the dependency.
                    raise _deadline_exceeded() from error
                raise CallTimedOutError(self.name, f"{self.name} did not answer in time") from error
            except self._failures as error:
                raise CallFailedError(self.name, f"{self.name} failed: {str(error) or type(error).__name__}") from error

        if not self.bulkhead.try_acquire():
            await self._wait_for_slot()
        try:
            return await (self.breaker.call(limited) if context.variant().breaker else limited())
        finally:
            self.bulkhead.release()

    async def _wait_for_slot(self) -> None:
        remaining_seconds = context.remaining_seconds()
        try:
            async with asyncio.timeout(None if math.isinf(remaining_seconds) else remaining_seconds):
                await self.bulkhead.acquire()
        except TimeoutError as error:
            raise _deadline_exceeded() from error


def _deadline_exceeded() -> DeadlineExceededError:
    return DeadlineExceededError("the time that the client gave the request is over")
