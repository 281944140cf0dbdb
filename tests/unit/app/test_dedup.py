"""Single flight: sharing, failures, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.events import Event, ReadShared
from app.resilience.single_flight import SingleFlight


class Rig:
    """Executions that wait for `gate` and are counted."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.flights: SingleFlight[int] = SingleFlight(self.events.append)
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
        return asyncio.create_task(self.flights.run(key, self.work))


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
