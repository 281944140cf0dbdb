"""Asks for many things in one call: a round trip costs about the same for one as for fifty."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

# A round trip takes less; one that takes more is not worth waiting for.
PATIENCE_SECONDS = 0.003

K = TypeVar("K")
V = TypeVar("V")


class Batch(Generic[K, V]):
    """`ask` gets what was asked for since the event loop last came round, and answers in the same order.

    While an answer is on its way, more is collected until it is there, for `PATIENCE_SECONDS` at most.

    It runs outside of any request: no request's deadline, variant or trace is that of all. Its exception is
    everybody's; who is cancelled leaves the others alone.
    """

    def __init__(self, ask: Callable[[Sequence[K]], Awaitable[Sequence[V]]], *, max_size: int) -> None:
        self._ask = ask
        self._max_size = max_size
        self._waiting: list[tuple[K, asyncio.Future[V]]] = []
        # The loop keeps weak references only.
        self._running: set[asyncio.Task[None]] = set()
        self._turn: asyncio.Handle | None = None

    async def get(self, item: K) -> V:
        """The answer for one item; raises what `ask` raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[V] = loop.create_future()
        self._waiting.append((item, answer))
        if len(self._waiting) >= self._max_size:
            self._send()
        elif len(self._waiting) == 1:
            if self._turn is not None:
                self._turn.cancel()  # of an earlier batch, which an answer sent before its time
            self._turn = loop.call_later(PATIENCE_SECONDS, self._send) if self._running else loop.call_soon(self._send)
        return await answer

    def _send(self) -> None:
        batch, self._waiting = self._waiting, []
        if batch:
            task = asyncio.get_running_loop().create_task(self._answer(batch), context=Context())
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._send()

    async def _answer(self, batch: Sequence[tuple[K, asyncio.Future[V]]]) -> None:
        try:
            answers = await self._ask([item for item, _ in batch])
        except BaseException as error:
            for _, answer in batch:
                if not answer.done():
                    if isinstance(error, Exception):
                        answer.set_exception(error)
                    else:
                        answer.cancel()
            if not isinstance(error, Exception):
                raise
            return
        for (_, answer), value in zip(batch, answers, strict=True):
            if not answer.done():
                answer.set_result(value)
