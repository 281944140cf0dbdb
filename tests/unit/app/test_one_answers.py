"""A probe of several replicas: one that answers is enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.health.probes import one_answers


@asynccontextmanager
async def server(status: str) -> AsyncIterator[str]:
    """A server that answers every request so; its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/"


async def ask(*statuses: str) -> None:
    async with server(statuses[0]) as one, server(statuses[-1]) as other:
        await one_answers([one, other])


@pytest.mark.parametrize("statuses", [("200 OK", "503 no"), ("503 no", "200 OK"), ("200 OK", "204 none")])
def test_one_is_enough(statuses: tuple[str, str]) -> None:
    asyncio.run(ask(*statuses))


def test_none_is_not() -> None:
    with pytest.raises(OSError, match=r"answered HTTP/1\.1 503 no"):
        asyncio.run(ask("503 no", "500 no"))


def test_one_that_nobody_listens_on_does_not_hide_the_other() -> None:
    async def both() -> None:
        async with server("200 OK") as url:
            await one_answers(["http://127.0.0.1:1/", url])

    asyncio.run(both())
