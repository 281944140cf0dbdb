"""The PostgreSQL connection pool: patient at start, guarded afterwards."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from app.errors import StartupError
from app.resilience.dependency import Dependency
from app.resilience.timeouts import within
from app.settings import Settings
from app.storage.patience import MOVED, PATIENCE_SECONDS, NotConnectedError, Patience, UndecidedError
from app.storage.postgres_primary import Primary

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

log = logging.getLogger(__name__)

T = TypeVar("T")

# Short, because a name that Swarm does not know yet hangs in the resolver for 5 s; a second attempt finds it.
CONNECT_SECONDS = 2.0
ACQUIRE_SECONDS = 2.0
# Both sides stop a statement: the server so as not to work for nobody, the client in case the server hangs. The server
# comes first, so that a statement which the client stops tells of a server that hangs.
SERVER_STATEMENT_SECONDS = 4.5
# Half of that, so as to tell from a statement that takes long who waits for a write that waits for a standby's word: in
# a queue for a row PostgreSQL waits for its turn first and for the row then, each for so long. One server alone has no
# standby to wait for.
LOCK_SECONDS = 2.0
STATEMENT_SECONDS = 5.0
CHECK_SECONDS = 2.0

# What means that PostgreSQL did not do its part.
FAILURES: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.TargetServerAttributeNotMatched,
)


class Database:
    """A pool of at most DATABASE_POOL_SIZE connections."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], dependency: Dependency, patience: Patience) -> None:
        self._pool = pool
        self._dependency = dependency
        self._patience = patience

    @property
    def size(self) -> int:
        """Connections of the pool."""
        return int(self._pool.get_size())

    @property
    def idle(self) -> int:
        """Connections that nobody uses now."""
        return int(self._pool.get_idle_size())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PoolConnectionProxy[asyncpg.Record]]:
        """Lend a connection, unguarded: for start-up and health checks.

        Raises NotConnectedError, UndecidedError where somebody else's lock was not to be had.
        """
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        except FAILURES as error:
            raise NotConnectedError(_reason(error)) from error
        try:
            yield connection
        except asyncpg.exceptions.LockNotAvailableError as error:
            raise UndecidedError(_reason(error)) from error
        except MOVED as error:
            if isinstance(error, TimeoutError):
                # Who stands still does not take the statement back either, for which asyncpg would wait.
                connection.terminate()
            # The others lead to the same server. They are replaced when they are next asked for.
            await self._pool.expire_connections()
            raise
        finally:
            await self._pool.release(connection)

    async def fetch(self, operation: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of a statement that only reads, and may therefore be tried again."""

        async def run() -> list[asyncpg.Record]:
            async with self.connection() as connection:
                return list(await connection.fetch(statement, *arguments))

        return await self._call(operation, run, repeatable=True, retry=True)

    async def run_once(self, operation: str, work: Callable[[PoolConnectionProxy[asyncpg.Record]], Awaitable[T]]) -> T:
        """Do `work`, which is a single statement and so a transaction by itself: two round trips fewer."""

        async def run() -> T:
            async with self.connection() as connection:
                return await work(connection)

        return await self._call(operation, run)

    async def transact(
        self,
        operation: str,
        work: Callable[[PoolConnectionProxy[asyncpg.Record]], Awaitable[T]],
        *,
        repeatable: bool = False,
    ) -> T:
        """Do `work` in one transaction: a connection that breaks in the commit does not tell what happened.

        Done a second time then only where it is `repeatable`: it finds out by itself whether it was done before.
        """

        async def run() -> T:
            async with self.connection() as connection, connection.transaction():
                return await work(connection)

        return await self._call(operation, run, repeatable=repeatable)

    async def _call(
        self, operation: str, run: Callable[[], Awaitable[T]], *, repeatable: bool = False, retry: bool = False
    ) -> T:
        async def patiently() -> T:
            return await self._patience.call(run, repeatable=repeatable)

        limit_seconds = STATEMENT_SECONDS + self._patience.seconds
        return await self._dependency.call(operation, patiently, limit_seconds=limit_seconds, retry=retry)

    async def check(self) -> None:
        """Raise unless PostgreSQL answers a trivial query. Not through the breaker: it must see PostgreSQL itself."""

        async def ask() -> None:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")

        await within(CHECK_SECONDS, ask)

    async def close(self, timeout_seconds: float) -> None:
        """Close politely, and after `timeout_seconds` without manners."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout_seconds)
        except TimeoutError:
            self._pool.terminate()


async def connect(settings: Settings, dependency: Dependency) -> Database:
    """Open the pool, trying again until DATABASE_STARTUP_SECONDS are over (then StartupError)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.database_startup_seconds
    pause_seconds = 0.2
    while True:
        try:
            # One server alone has no successor to wait for.
            patience = Patience(PATIENCE_SECONDS if len(settings.database_servers) > 1 else 0.0)
            return Database(await _create_pool(settings), dependency, patience)
        except (*FAILURES, asyncpg.PostgresError) as error:
            where = f"PostgreSQL at {', '.join(f'{host}:{port}' for host, port in settings.database_servers)}"
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
    lock_seconds = LOCK_SECONDS if len(settings.database_servers) > 1 else 0.0
    return await asyncpg.create_pool(
        connect=Primary(settings.database_servers).connect,
        database=settings.database_name,
        user=settings.database_user,
        password=settings.database_password.get_secret_value(),
        min_size=1,
        max_size=settings.database_pool_size,
        timeout=CONNECT_SECONDS,
        command_timeout=STATEMENT_SECONDS,
        reset=_nothing_to_reset,
        server_settings={
            "application_name": "pidea-backend",
            "statement_timeout": str(int(SERVER_STATEMENT_SECONDS * 1000)),
            "lock_timeout": str(int(lock_seconds * 1000)),
        },
    )


async def _nothing_to_reset(_: object) -> None:
    """Nothing here changes a session, so the round trip that asyncpg makes after every use is spared.

    It still closes a connection that comes back from a broken transaction.
    """


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
