"""Lookups that travel together: who asks at the same time shares a round trip, and nobody's trouble is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import context
from app.cache.batch import Batch


class Asked:
    """Doubles numbers, and knows what it was asked together."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: BaseException | None = None

    async def ask(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [2 * item for item in items]


def play(scenario: Callable[[Asked, Batch[int, int]], Awaitable[None]], max_size: int = 4) -> None:
    async def run() -> None:
        asked = Asked()
        await asyncio.wait_for(scenario(asked, Batch(asked.ask, max_size=max_size)), 10)

    asyncio.run(run())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(), max_size=40), st.integers(2, 9))
def test_everybody_gets_the_answer_to_their_own_question(items: list[int], max_size: int) -> None:
    async def scenario(asked: Asked, batch: Batch[int, int]) -> None:
        assert await asyncio.gather(*map(batch.get, items)) == [2 * item for item in items]
        assert sorted(item for call in asked.calls for item in call) == sorted(items)
        assert len(asked.calls) == -(-len(items) // max_size)

    play(scenario, max_size)


def test_who_asks_later_does_not_wait_for_those_before() -> None:
    async def scenario(asked: Asked, batch: Batch[int, int]) -> None:
        asked.gate.clear()
        first = asyncio.create_task(batch.get(1))
        while not asked.calls:
            await asyncio.sleep(0)
        second = asyncio.create_task(batch.get(2))
        while len(asked.calls) < 2:
            await asyncio.sleep(0)
        asked.gate.set()
        assert (await first, await second, asked.calls) == (2, 4, [[1], [2]])

    play(scenario)


def test_an_error_is_everybodys_and_the_next_batch_is_a_new_one() -> None:
    async def scenario(asked: Asked, batch: Batch[int, int]) -> None:
        asked.error = OSError("gone")
        answers = await asyncio.gather(batch.get(1), batch.get(2), return_exceptions=True)
        assert [type(answer) for answer in answers] == [OSError, OSError]
        asked.error = None
        assert await batch.get(3) == 6

    play(scenario)


def test_who_leaves_does_not_disturb_the_others() -> None:
    async def scenario(asked: Asked, batch: Batch[int, int]) -> None:
        asked.gate.clear()
        leaver, stayer = asyncio.create_task(batch.get(1)), asyncio.create_task(batch.get(2))
        while not asked.calls:
            await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.wait({leaver})
        asked.gate.set()
        assert (leaver.cancelled(), await stayer) == (True, 4)

    play(scenario)


def test_a_cancelled_call_leaves_nobody_waiting() -> None:
    async def scenario(asked: Asked, batch: Batch[int, int]) -> None:
        asked.error = asyncio.CancelledError()
        with pytest.raises(asyncio.CancelledError):
            await batch.get(1)

    play(scenario)


def test_nobodys_deadline_is_that_of_all() -> None:
    async def scenario(_: Asked, __: Batch[int, int]) -> None:
        seen: list[float] = []

        async def ask(items: Sequence[int]) -> Sequence[int]:
            seen.append(context.remaining_seconds())
            return items

        context.use_deadline(0.001)
        await Batch(ask, max_size=4).get(1)
        assert seen == [float("inf")]

    play(scenario)
