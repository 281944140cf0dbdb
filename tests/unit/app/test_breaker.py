"""The circuit breaker's state machine, with a clock that the test turns."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import BreakerOpenError
from app.events import BreakerChanged, BreakerState, Event
from app.resilience import breaker
from app.resilience.breaker import CircuitBreaker


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "JITTER", 0.0)


class Rig:
    """A breaker that opens after three failures for ten seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[Event] = []
        self.breaker = CircuitBreaker(
            "redis", self.events.append, failure_threshold=3, open_seconds=10, clock=lambda: self.now
        )

    async def succeed(self) -> str:
        async def operation() -> str:
            return "done"

        return await self.breaker.call(operation)

    async def fail(self, times: int = 1) -> None:
        async def operation() -> None:
            raise ConnectionError

        for _ in range(times):
            with pytest.raises(ConnectionError):
                await self.breaker.call(operation)

    @property
    def changes(self) -> list[BreakerState]:
        return [event.state for event in self.events if isinstance(event, BreakerChanged)]


def test_only_failures_in_a_row_open_it() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.fail(2)
        assert await rig.succeed() == "done"
        await rig.fail(2)
        assert rig.changes == []
        await rig.fail()
        assert rig.breaker.state is BreakerState.OPEN
        with pytest.raises(BreakerOpenError, match="redis"):
            await rig.succeed()

    rig = Rig()
    asyncio.run(scenario(rig))
    assert rig.changes == [BreakerState.OPEN]


def test_a_good_probe_closes_it() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.fail(3)
        rig.now = 9.99
        with pytest.raises(BreakerOpenError):
            await rig.succeed()
        rig.now = 10
        assert await rig.succeed() == "done"
        await rig.fail(2)

    rig = Rig()
    asyncio.run(scenario(rig))
    assert rig.changes == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_a_bad_probe_opens_it_for_the_whole_time_again() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.fail(3)
        rig.now = 10
        await rig.fail()
        rig.now = 19.99
        with pytest.raises(BreakerOpenError):
            await rig.succeed()
        rig.now = 20
        await rig.succeed()

    rig = Rig()
    asyncio.run(scenario(rig))
    assert rig.changes[:3] == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.OPEN]


def test_half_open_lets_one_call_through_at_a_time() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.fail(3)
        rig.now = 10
        gate = asyncio.Event()
        probe = asyncio.create_task(rig.breaker.call(gate.wait))
        await asyncio.sleep(0)
        with pytest.raises(BreakerOpenError, match="probed"):
            await rig.succeed()
        gate.set()
        await probe
        assert rig.breaker.state is BreakerState.CLOSED

    asyncio.run(scenario(Rig()))


def test_a_cancelled_probe_counts_neither_way_and_frees_the_place() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.fail(3)
        rig.now = 10
        probe = asyncio.create_task(rig.breaker.call(asyncio.Event().wait))
        await asyncio.sleep(0)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert rig.changes == [BreakerState.OPEN, BreakerState.HALF_OPEN]
        await rig.succeed()
        assert rig.breaker.state is BreakerState.CLOSED

    asyncio.run(scenario(Rig()))


def test_results_from_before_a_change_are_not_counted() -> None:
    async def scenario(rig: Rig) -> None:
        gate = asyncio.Event()
        early = asyncio.create_task(rig.breaker.call(gate.wait))
        await asyncio.sleep(0)
        await rig.fail(3)
        rig.now = 10
        probe_gate = asyncio.Event()
        probe = asyncio.create_task(rig.breaker.call(probe_gate.wait))
        await asyncio.sleep(0)
        gate.set()
        await early
        assert rig.breaker.state is BreakerState.HALF_OPEN, "an old success must not close it"
        probe_gate.set()
        await probe

    asyncio.run(scenario(Rig()))


def test_a_hiccup_that_fails_many_calls_at_once_is_one_failure() -> None:
    async def scenario(rig: Rig) -> None:
        async def fail_at_gate(gate: asyncio.Event) -> None:
            await gate.wait()
            raise ConnectionError

        for wave in range(1, 4):
            gate = asyncio.Event()
            calls = [asyncio.create_task(rig.breaker.call(lambda: fail_at_gate(gate))) for _ in range(50)]  # noqa: B023
            await asyncio.sleep(0)
            gate.set()
            await asyncio.gather(*calls, return_exceptions=True)
            assert rig.changes == ([BreakerState.OPEN] if wave == 3 else [])

    asyncio.run(scenario(Rig()))
