"""Inserts, each a transaction of its own, into whichever server takes them."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg

from chaos.lines import reason
from chaos.settings import Account, Settings

# A standby that is asked for a connection that can write refuses with an InternalClientError.
FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.exceptions.InternalClientError,
    OSError,
    TimeoutError,
)
CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 1.0
CREATE = "CREATE TABLE IF NOT EXISTS chaos_writes (writer text, number bigint, PRIMARY KEY (writer, number))"
INSERT = "INSERT INTO chaos_writes VALUES ($1, $2)"


class Inserter:
    """Keeps one connection until it breaks; then asks every server at once which of them can write."""

    def __init__(self, settings: Settings, writer: str) -> None:
        self._settings = settings
        self._writer = writer
        self._connection: asyncpg.Connection | None = None
        self._host = ""
        self._has_table = False

    async def write(self, number: int) -> tuple[str, str, str]:
        """(outcome, server, error)."""
        try:
            if self._connection is None:
                self._host, self._connection = await connect(self._settings)
            if not self._has_table:
                # Another client may make it in the same moment.
                with contextlib.suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateTableError):
                    await self._connection.execute(CREATE)
                self._has_table = True
            await self._connection.execute(INSERT, self._writer, number)
        except FAILURES as error:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.terminate()
            return "failed", self._host, reason(error)
        return "acknowledged", self._host, ""


async def connect(settings: Settings) -> tuple[str, asyncpg.Connection]:
    """The first server that accepts writes, and a connection to it. One of FAILURES where none does."""
    tries = {asyncio.ensure_future(open_one(settings, host, "read-write")): host for host in settings.postgres.values()}
    waiting = set(tries)
    error: BaseException | None = None
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                if (error := one.exception()) is None:
                    return tries.pop(one), one.result()
        raise error or OSError("there is no server")
    finally:
        for one in tries:
            one.cancel()
            one.add_done_callback(_close)


def _close(one: asyncio.Future[asyncpg.Connection]) -> None:
    if not one.cancelled() and one.exception() is None:
        one.result().terminate()


async def open_one(
    settings: Settings,
    host: str,
    attributes: str = "any",
    *,
    seconds: float = CONNECT_SECONDS,
    account: Account | None = None,
) -> asyncpg.Connection:
    """A connection to one server, as the application's user unless `account` is another. One of FAILURES."""
    account = account or settings.postgres_account
    return await asyncpg.connect(
        host=host,
        port=settings.ports["postgres"],
        database=settings.database,
        user=account.username,
        password=account.password,
        timeout=seconds,
        command_timeout=ANSWER_SECONDS,
        target_session_attrs=attributes,
        server_settings={"application_name": "pidea-chaos"},
    )
