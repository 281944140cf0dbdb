"""The bulkhead: its limits, its order, and that no slot is ever lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BulkheadFullError
from app.resilience.bulkhead import Bulkhead


def test_it_runs_some_lets_some_wait_in_order_and_refuses_the_rest() -> None:
    async def scenario() -> None:
        bulkhead = Bulkhead("postgres", max_running=2, max_waiting=2)
        order: list[int] = []

        async def wait(number: int) -> None:
            await bulkhead.acquire()
            order.append(number)

        waiters = [asyncio.create_task(wait(number)) for number in range(4)]
        await asyncio.sleep(0)
        assert (bulkhead.running, bulkhead.waiting, order) == (2, 2, [0, 1])
        with pytest.raises(BulkheadFullError, match="2 calls run and 2 wait already") as refused:
            await bulkhead.acquire()
        assert refused.value.dependency == "postgres"
        assert not bulkhead.try_acquire()
        for _ in range(2):
            bulkhead.release()
        await asyncio.gather(*waiters)
        assert order == [0, 1, 2, 3]
        for _ in range(2):
            bulkhead.release()
        assert (bulkhead.running, bulkhead.waiting) == (0, 0)

    asyncio.run(scenario())


def test_a_waiter_that_was_cancelled_a_moment_before_its_turn_is_passed_by() -> None:
    async def scenario() -> None:
        bulkhead = Bulkhead("postgres", max_running=1, max_waiting=2)
        await bulkhead.acquire()
        waiter = asyncio.create_task(bulkhead.acquire())
        await asyncio.sleep(0)
        waiter.cancel()
        # In the same turn of the loop, before the waiter knows of its cancellation.
        bulkhead.release()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert (bulkhead.running, bulkhead.waiting) == (0, 0)

    asyncio.run(scenario())


def test_a_slot_that_was_handed_to_a_cancelled_waiter_goes_to_the_next() -> None:
    async def scenario() -> None:
        bulkhead = Bulkhead("postgres", max_running=1, max_waiting=2)
        await bulkhead.acquire()
        first, second = (asyncio.create_task(bulkhead.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        bulkhead.release()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await second
        assert (bulkhead.running, bulkhead.waiting) == (1, 0)

    asyncio.run(scenario())


STEP = st.one_of(
    st.just(("arrive", 0)),
    st.tuples(st.sampled_from(["leave", "finish"]), st.integers(0, 9)),
    st.just(("turn", 0)),
)


@settings(deadline=None, max_examples=200)
@given(steps=st.lists(STEP, max_size=60), max_running=st.integers(1, 3), max_waiting=st.integers(0, 3))
def test_no_slot_is_lost_or_made_up(steps: list[tuple[str, int]], max_running: int, max_waiting: int) -> None:
    """Callers come, finish and are cancelled; cancellations and hand-overs may meet in one turn of the loop."""

    async def run() -> None:
        bulkhead = Bulkhead("postgres", max_running=max_running, max_waiting=max_waiting)
        inside = 0
        calls: list[tuple[asyncio.Task[None], asyncio.Event]] = []

        async def call(finished: asyncio.Event) -> None:
            nonlocal inside
            await bulkhead.acquire()
            inside += 1
            try:
                assert inside <= max_running
                await finished.wait()
            finally:
                inside -= 1
                bulkhead.release()

        for step, number in steps:
            if step == "arrive":
                finished = asyncio.Event()
                calls.append((asyncio.create_task(call(finished)), finished))
            elif step == "turn":
                await asyncio.sleep(0)
            elif calls:
                task, finished = calls[number % len(calls)]
                task.cancel() if step == "leave" else finished.set()
            assert bulkhead.waiting <= max_waiting
        for _, finished in calls:
            finished.set()
        for result in await asyncio.gather(*(task for task, _ in calls), return_exceptions=True):
            assert result is None or isinstance(result, BulkheadFullError | asyncio.CancelledError)
        assert (bulkhead.running, bulkhead.waiting) == (0, 0)
        assert all(bulkhead.try_acquire() for _ in range(max_running)), "every slot can be taken again"

    asyncio.run(run())
