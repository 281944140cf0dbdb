"""The time limit: who is late matters, and nothing is left running."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop

from app.resilience.timeouts import MAX_ROUNDS, within


def test_no_answer_is_a_timeout_and_the_call_is_given_up() -> None:
    async def scenario() -> None:
        cancelled = asyncio.Event()

        async def never() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        with pytest.raises(TimeoutError, match=r"no answer within 0.02 s"):
            await within(0.02, never)
        await asyncio.wait_for(cancelled.wait(), 30)

    asyncio.run(scenario())


def test_results_and_exceptions_pass_through() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> int:
        raise ConnectionError("gone")

    assert asyncio.run(within(30, answer)) == 7
    with pytest.raises(ConnectionError, match="gone"):
        asyncio.run(within(30, fail))


def test_an_answer_that_came_during_our_own_stall_is_used() -> None:
    async def scenario() -> bytes:
        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"answer")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            call = asyncio.create_task(within(0.05, reader.read))
            await asyncio.sleep(0)
            # Longer than the limit: when the loop runs again, the timer is due before the socket is looked at.
            time.sleep(0.2)
            result = await call
            writer.close()
            return result

    assert uvloop.run(scenario()) == b"answer"


def test_a_process_that_is_always_stalled_gives_up_at_last() -> None:
    async def scenario() -> int:
        rounds = 0

        async def stall() -> None:
            nonlocal rounds
            while True:
                rounds += 1
                time.sleep(0.05)
                await asyncio.sleep(0)

        with pytest.raises(TimeoutError):
            await within(0.01, stall)
        return rounds

    assert asyncio.run(scenario()) >= MAX_ROUNDS


def test_the_callers_cancellation_ends_the_call() -> None:
    async def scenario() -> None:
        cancelled = asyncio.Event()

        async def never() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        caller = asyncio.create_task(within(30, never))
        await asyncio.sleep(0.01)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await asyncio.wait_for(cancelled.wait(), 30)

    asyncio.run(scenario())
