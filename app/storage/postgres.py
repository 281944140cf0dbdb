"""The PostgreSQL connection pool: patient at start, clear when PostgreSQL is not there."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from app.errors import DatabaseUnavailableError, StartupError
from app.resilience.timeouts import within
from app.settings import Settings

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

log = logging.getLogger(__name__)

# Short, because a name that Swarm does not know yet hangs in the resolver for 5 s; a second attempt finds it.
CONNECT_SECONDS = 2.0
ACQUIRE_SECONDS = 2.0
# Both sides stop a statement: the server so as not to work for nobody, the client in case the server hangs.
STATEMENT_SECONDS = 5.0
CHECK_SECONDS = 2.0

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
)


class Database:
    """A pool of at most DATABASE_POOL_SIZE connections."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PoolConnectionProxy[asyncpg.Record]]:
        """Lend a connection; what goes wrong with PostgreSQL itself is raised as DatabaseUnavailableError."""
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection
        except asyncpg.DataError:
            raise
        except UNAVAILABLE as error:
            raise DatabaseUnavailableError(f"PostgreSQL did not answer: {_reason(error)}") from error

    async def check(self) -> None:
        """Raise DatabaseUnavailableError unless PostgreSQL answers a trivial query."""

        async def ask() -> None:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")

        try:
            await within(CHECK_SECONDS, ask)
        except TimeoutError as error:
            raise DatabaseUnavailableError(f"PostgreSQL did not answer within {CHECK_SECONDS:g} s") from error

    async def close(self, timeout_seconds: float) -> None:
        """Close politely, and after `timeout_seconds` without manners."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout_seconds)
        except TimeoutError:
            self._pool.terminate()


async def connect(settings: Settings) -> Database:
    """Open the pool, trying again until DATABASE_STARTUP_SECONDS are over (then StartupError)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.database_startup_seconds
    pause_seconds = 0.2
    while True:
        try:
            return Database(await _create_pool(settings))
        except (*UNAVAILABLE, asyncpg.PostgresError) as error:
            where = f"PostgreSQL at {settings.database_host}:{settings.database_port}"
            if loop.time() + pause_seconds > deadline:
                raise StartupError(
                    f"{where} did not accept a connection within {settings.database_startup_seconds:g} s"
                    f" ({_reason(error)}); check that it runs and that the DATABASE_* settings are right"
                ) from error
            log.warning("%s does not accept connections yet (%s)", where, _reason(error))
        # Jitter, so that replicas started together do not knock together.
        await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311
        pause_seconds = min(pause_seconds * 2, 5.0)


async def _create_pool(settings: Settings) -> asyncpg.Pool[asyncpg.Record]:
    return await asyncpg.create_pool(
        host=settings.database_host,
        port=settings.database_port,
        database=settings.database_name,
        user=settings.database_user,
        password=settings.database_password.get_secret_value(),
        min_size=1,
        max_size=settings.database_pool_size,
        timeout=CONNECT_SECONDS,
        command_timeout=STATEMENT_SECONDS,
        server_settings={
            "application_name": "pidea-backend",
            "statement_timeout": str(int(STATEMENT_SECONDS * 1000)),
        },
    )


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
