"""One short conversation with a Redis server or a sentinel: a fresh connection, a limit for the whole of it.

Fresh, so that the name is resolved anew each time: who answers is who has the name now.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ops.controller.settings import Login

# What means that it did not do its part. `TimeoutError` is an OSError.
FAILURES: tuple[type[Exception], ...] = (RedisError, OSError)


class Talk:
    """Asks over one connection; the answers are as they came: text, whole numbers, lists."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, *command: str) -> Any:
        """The answer. Raises one of FAILURES, a refusal among them."""
        await self._connection.send_command(*command)
        return await self._connection.read_response()


@asynccontextmanager
async def talk(address: str, login: Login, seconds: float) -> AsyncIterator[Talk]:
    """A conversation that is over, with TimeoutError, after `seconds`."""
    host, port = split(address)
    connection = Connection(
        host=host,
        port=port,
        username=login.username or None,
        password=login.password or None,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        decode_responses=True,
        # Its user may not set them.
        lib_name=None,
        lib_version=None,
    )
    try:
        async with asyncio.timeout(seconds):
            await connection.connect()  # type: ignore[no-untyped-call]
            yield Talk(connection)
    finally:
        await connection.disconnect(nowait=True)


def split(address: str) -> tuple[str, int]:
    """`host:port` → host, port."""
    host, _, port = address.rpartition(":")
    return host, int(port)
