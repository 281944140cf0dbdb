"""Single flight: sharing, failures, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import context
from app.errors import DeadlineExceededError
from app.events import DedupRefused, Event, ReadShared
from app.resilience.single_flight import SingleFlight


class Rig:
    """Executions that wait for `gate` and are counted."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.flights: SingleFlight[int] = SingleFlight(
            self.events.append, timeout_seconds=5.0, execution_seconds=10, max_flights=1000
        )
        self.gate = asyncio.Event()
        self.executions = 0
        self.cancelled = 0

    async def work(self) -> int:
        self.executions += 1
        number = self.executions
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return number

    def join(self, key: str = "key") -> asyncio.Task[int]:
        async def value() -> int:
            return (await self.flights.run(key, self.work))[0]

        return asyncio.create_task(value())


def play(scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def run() -> None:
        rig = Rig()
        await scenario(rig)
        await asyncio.sleep(0)
        assert rig.flights.in_flight == 0

    asyncio.run(run())


def test_ten_thousand_identical_reads_are_one_execution() -> None:
    async def scenario(rig: Rig) -> None:
        callers = [rig.join() for _ in range(10_000)]
        await asyncio.sleep(0)
        rig.gate.set()
        assert set(await asyncio.gather(*callers)) == {1}
        assert rig.events == [ReadShared()] * 9_999

    play(scenario)


def test_other_keys_and_later_reads_run_on_their_own() -> None:
    async def scenario(rig: Rig) -> None:
        rig.gate.set()
        assert sorted(await asyncio.gather(rig.join("a"), rig.join("b"))) == [1, 2]
        assert await rig.join("a") == 3
        assert rig.events == []

    play(scenario)


def test_every_caller_gets_the_exception() -> None:
    async def scenario(rig: Rig) -> None:
        async def fail() -> int:
            await rig.gate.wait()
            raise ConnectionError("gone")

        callers = [asyncio.create_task(rig.flights.run("key", fail)) for _ in range(3)]
        await asyncio.sleep(0)
        rig.gate.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert [str(result) for result in results] == ["gone"] * 3
        assert await rig.join() == 1, "a failure is not kept"

    play(scenario)


@pytest.mark.parametrize("leaver", [0, 1, 2])
def test_one_callers_cancellation_leaves_the_others_alone(leaver: int) -> None:
    async def scenario(rig: Rig) -> None:
        callers = [rig.join() for _ in range(3)]
        await asyncio.sleep(0)
        callers[leaver].cancel()
        with pytest.raises(asyncio.CancelledError):
            await callers.pop(leaver)
        rig.gate.set()
        assert await asyncio.gather(*callers) == [1, 1]
        assert rig.cancelled == 0

    play(scenario)


def test_the_execution_is_cancelled_when_nobody_waits_any_more() -> None:
    async def scenario(rig: Rig) -> None:
        callers = [rig.join() for _ in range(2)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        newcomer = rig.join()
        await asyncio.sleep(0)
        assert rig.cancelled == 1
        rig.gate.set()
        assert await newcomer == 2, "nobody joins an execution that is being cancelled"

    play(scenario)


def test_who_waited_too_long_goes_alone() -> None:
    async def scenario(rig: Rig) -> None:
        rig.flights = SingleFlight(rig.events.append, timeout_seconds=0.01, execution_seconds=10, max_flights=10)
        rig.join()
        await asyncio.sleep(0)

        async def quick() -> int:
            return 7

        assert await rig.flights.run("key", quick) == (7, False)
        assert rig.events == [ReadShared(), DedupRefused("timeout")]
        rig.gate.set()
        await asyncio.sleep(0.01)

    play(scenario)


def test_who_waits_for_the_next_primary_has_the_time_of_a_request_though_others_may_join() -> None:
    async def scenario(rig: Rig) -> None:
        rig.flights = SingleFlight(rig.events.append, timeout_seconds=0.01, execution_seconds=10, max_flights=10)

        async def patient() -> int:
            await asyncio.sleep(0.05)
            return int(context.remaining_seconds())

        assert await rig.flights.run("key", patient) == (9, False)

    play(scenario)


def test_the_joiners_own_deadline_ends_its_wait() -> None:
    async def scenario(rig: Rig) -> None:
        first = rig.join()
        await asyncio.sleep(0)

        async def hurried() -> None:
            context.use_deadline(0.01)
            with pytest.raises(DeadlineExceededError):
                await rig.flights.run("key", rig.work)

        await asyncio.create_task(hurried())
        rig.gate.set()
        assert await first == 1

    play(scenario)


def test_the_first_callers_deadline_is_not_that_of_the_execution() -> None:
    async def scenario(rig: Rig) -> None:
        left: list[float] = []

        async def look() -> int:
            left.append(context.remaining_seconds())
            return 1

        async def hurried() -> None:
            context.use_deadline(0.5)
            await rig.flights.run("key", look)

        await asyncio.create_task(hurried())
        assert left[0] > 1

    play(scenario)


def test_further_keys_are_not_shared_when_there_are_too_many() -> None:
    async def scenario(rig: Rig) -> None:
        rig.flights = SingleFlight(rig.events.append, timeout_seconds=5, execution_seconds=10, max_flights=1)
        rig.gate.set()
        callers = [rig.join("a"), rig.join("b"), rig.join("b")]
        assert sorted(await asyncio.gather(*callers)) == [1, 2, 3]
        assert rig.events == [DedupRefused("full")] * 2

    play(scenario)


# What happens to a caller: which key it asks for, when it comes, and when it loses patience (or does not).
CALLER = st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.none() | st.integers(0, 5))


@settings(deadline=None, max_examples=150)
@given(callers=st.lists(CALLER, min_size=1, max_size=12), lasts=st.integers(1, 4), fails=st.booleans())
def test_whatever_the_order_nobody_suffers_from_another(
    callers: list[tuple[str, int, int | None]], lasts: int, fails: bool
) -> None:
    async def run() -> None:
        flights: SingleFlight[int] = SingleFlight(
            lambda _: None, timeout_seconds=5, execution_seconds=10, max_flights=10
        )
        running: dict[str, int] = dict.fromkeys("abc", 0)

        async def work(key: str) -> int:
            assert running[key] == 0, "two executions of one key at once"
            running[key] += 1
            try:
                for _ in range(lasts):
                    await asyncio.sleep(0)
                if fails:
                    raise ConnectionError
                return ord(key)
            finally:
                running[key] -= 1

        async def call(key: str, comes: int) -> tuple[int, bool]:
            for _ in range(comes):
                await asyncio.sleep(0)
            return await flights.run(key, lambda: work(key))

        tasks = [asyncio.create_task(call(key, comes)) for key, comes, _ in callers]
        for tick in range(6):
            for task, (_, comes, leaves) in zip(tasks, callers, strict=True):
                if leaves is not None and tick == comes + leaves:
                    task.cancel()
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result, (key, _, leaves) in zip(results, callers, strict=True):
            if leaves is None:
                assert isinstance(result, ConnectionError) if fails else result in {(ord(key), True), (ord(key), False)}
        await asyncio.sleep(0)
        assert flights.in_flight == 0

    asyncio.run(run())
