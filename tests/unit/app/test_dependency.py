"""The guarded way to a dependency: what comes out, what counts, what is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from app import context
from app.errors import (
    BreakerOpenError,
    BulkheadFullError,
    CallFailedError,
    CallTimedOutError,
    DeadlineExceededError,
    NotFoundError,
)
from app.events import BreakerState, DependencyCalled, DependencyRetried, Event
from app.resilience import dependency as module
from app.resilience.breaker import CircuitBreaker
from app.resilience.bulkhead import Bulkhead
from app.resilience.dependency import Dependency
from app.resilience.retry import RetryBudget

NEVER_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "back_off_seconds", lambda _: 0.0)


class Rig:
    """A dependency whose breaker opens after two failures; one call at a time, and one that waits."""

    def __init__(self, ratio: float = 1.0) -> None:
        self.events: list[Event] = []
        self.now = 0.0
        self.runs = 0
        self.breaker = CircuitBreaker(
            "postgres",
            self.events.append,
            failure_threshold=2,
            open_seconds=10,
            failures=Dependency.FAILURES,
            clock=lambda: self.now,
        )
        self.bulkhead = Bulkhead("postgres", max_running=1, max_waiting=1)
        self.dependency = Dependency(
            "postgres",
            self.events.append,
            breaker=self.breaker,
            bulkhead=self.bulkhead,
            retry_budget=RetryBudget(ratio, lambda: self.now),
            failures=(OSError,),
        )

    async def call(
        self, *results: object, limit_seconds: float = NEVER_SECONDS, retry: bool = False, hangs: bool = False
    ) -> object:
        """One call whose attempts end with `results`, in order; exceptions among them are raised."""
        coming = iter(results)

        async def run() -> object:
            self.runs += 1
            if hangs:
                await asyncio.Event().wait()
            result = next(coming)
            if isinstance(result, BaseException):
                raise result
            return result

        return await self.dependency.call("read", run, limit_seconds=limit_seconds, retry=retry)

    def state(self) -> BreakerState:
        return self.breaker.state

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.events if isinstance(event, DependencyCalled)]

    @property
    def retries(self) -> list[bool]:
        return [event.within_budget for event in self.events if isinstance(event, DependencyRetried)]


def play(scenario: Callable[[Rig], Awaitable[None]], ratio: float = 1.0) -> None:
    async def run() -> None:
        rig = Rig(ratio)
        await scenario(rig)
        assert (rig.bulkhead.running, rig.bulkhead.waiting) == (0, 0)

    asyncio.run(run())


@contextmanager
def variant(chosen: context.Variant) -> Iterator[None]:
    before = context.variant()
    context.use_variant(chosen)
    yield
    context.use_variant(before)


def test_failures_come_out_with_the_dependencys_name_and_the_reason() -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(CallFailedError, match="postgres failed: gone") as failed:
            await rig.call(ConnectionError("gone"))
        assert failed.value.dependency == "postgres"
        assert isinstance(failed.value.__cause__, ConnectionError)
        with pytest.raises(CallFailedError, match="postgres failed: ConnectionResetError"):
            await rig.call(ConnectionResetError())
        assert rig.outcomes == ["failed", "failed"]
        assert rig.state() is BreakerState.OPEN

    play(scenario)


def test_what_is_no_failure_passes_through_and_counts_as_an_answer() -> None:
    async def scenario(rig: Rig) -> None:
        for _ in range(3):
            with pytest.raises(CallFailedError):
                await rig.call(ConnectionError())
            with pytest.raises(NotFoundError):
                await rig.call(NotFoundError("no such chat"))
        assert rig.state() is BreakerState.CLOSED
        assert rig.outcomes == ["failed", "ok"] * 3

    play(scenario)


def test_no_answer_in_time_is_a_failure() -> None:
    async def scenario(rig: Rig) -> None:
        for _ in range(2):
            with pytest.raises(CallTimedOutError, match="postgres did not answer in time"):
                await rig.call(hangs=True, limit_seconds=0.01)
        assert rig.outcomes == ["timeout", "timeout"]
        assert rig.state() is BreakerState.OPEN

    play(scenario)


def test_a_driver_that_gives_up_is_not_mistaken_for_a_client_in_a_hurry() -> None:
    async def scenario(rig: Rig) -> None:
        context.use_deadline(NEVER_SECONDS / 2)
        with pytest.raises(CallTimedOutError):
            await rig.call(TimeoutError())

    play(scenario)


def test_a_client_in_a_hurry_says_nothing_about_the_dependency() -> None:
    async def scenario(rig: Rig) -> None:
        async def hurried() -> None:
            context.use_deadline(0.01)
            with pytest.raises(DeadlineExceededError):
                await rig.call(hangs=True, retry=True)

        for _ in range(3):
            await asyncio.create_task(hurried())
        assert rig.state() is BreakerState.CLOSED
        for _ in range(2):
            with pytest.raises(CallFailedError):
                await rig.call(ConnectionError())
            if rig.state() is BreakerState.CLOSED:
                await asyncio.create_task(hurried())
        assert rig.state() is BreakerState.OPEN, "a call without an answer must not undo a failure"
        rig.now = 20
        await asyncio.create_task(hurried())
        assert rig.state() is BreakerState.HALF_OPEN, "a call without an answer must not close the breaker"
        assert await rig.call("done") == "done"
        assert rig.state() is BreakerState.CLOSED

    play(scenario)


def test_without_time_left_nothing_is_asked() -> None:
    async def scenario(rig: Rig) -> None:
        context.use_deadline(0)
        with pytest.raises(DeadlineExceededError):
            await rig.call("done")
        assert (rig.runs, rig.events) == (0, [])

    play(scenario)


def test_the_deadline_ends_the_wait_for_a_slot_too() -> None:
    async def scenario(rig: Rig) -> None:
        holder = asyncio.create_task(rig.call(hangs=True))
        await asyncio.sleep(0)

        async def hurried() -> None:
            context.use_deadline(0.01)
            with pytest.raises(DeadlineExceededError):
                await rig.call("done")

        await asyncio.create_task(hurried())
        assert rig.bulkhead.waiting == 0
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)

    play(scenario)


def test_refused_calls_are_rejected_and_not_tried_again() -> None:
    async def scenario(rig: Rig) -> None:
        calls = [asyncio.create_task(rig.call(hangs=True)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFullError):
            await rig.call("done", retry=True)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for _ in range(2):
            with pytest.raises(CallFailedError):
                await rig.call(ConnectionError())
        with pytest.raises(BreakerOpenError):
            await rig.call("done", retry=True)
        assert rig.outcomes == ["rejected", "failed", "failed", "rejected"], "who left was told nothing about"
        assert rig.retries == []

    play(scenario)


def test_failed_reads_are_tried_again_twice_at_most() -> None:
    async def scenario(rig: Rig) -> None:
        with variant(context.BASELINE):
            assert await rig.call(ConnectionError(), ConnectionError(), "done", retry=True) == "done"
            assert rig.outcomes == ["failed", "failed", "ok"]
            with pytest.raises(CallFailedError, match="third"):
                await rig.call(ConnectionError(), ConnectionError(), ConnectionError("third"), "done", retry=True)
        assert rig.retries == [True] * 4

    play(scenario)


def test_retries_stop_when_the_budget_is_used_up() -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(CallFailedError):
            await rig.call(ConnectionError(), "done", retry=True)
        assert rig.retries == [False]

    play(scenario, ratio=0.0)


def test_retries_stop_when_the_deadline_would_pass_before() -> None:
    async def scenario(rig: Rig) -> None:
        context.use_deadline(NEVER_SECONDS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "back_off_seconds", lambda _: 2 * NEVER_SECONDS)
            with pytest.raises(CallFailedError):
                await rig.call(ConnectionError(), "done", retry=True)
        assert (rig.runs, rig.retries) == (1, [])

    play(scenario)


def test_the_variant_without_a_breaker_is_neither_counted_nor_refused() -> None:
    async def scenario(rig: Rig) -> None:
        with variant(context.BASELINE):
            for _ in range(5):
                with pytest.raises(CallFailedError):
                    await rig.call(ConnectionError())
        assert rig.state() is BreakerState.CLOSED
        for _ in range(2):
            with pytest.raises(CallFailedError):
                await rig.call(ConnectionError())
        assert rig.state() is BreakerState.OPEN
        with variant(context.BASELINE):
            assert await rig.call("done") == "done"
        assert rig.state() is BreakerState.OPEN

    play(scenario)
