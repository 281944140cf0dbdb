"""Both systems of record for one and the same test: a database of PostgreSQL, a file of SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from pydantic import SecretStr

from app.chats.models import MAX_CONTENT_BYTES, Chat, Found, Message, NewMessage
from app.chats.store import ChatStore, IdempotentRequest, StoredResponse, Writer
from app.chats.words import WORD
from app.events import Event
from app.resilience.breaker import CircuitBreaker
from app.resilience.bulkhead import Bulkhead
from app.resilience.dependency import Dependency
from app.resilience.retry import RetryBudget
from app.settings import Settings
from app.storage import migrations, postgres, sqlite_chats
from app.storage.postgres_chats import PostgresChats
from app.web.clients import Clients
from tests.app.servers import PASSWORD, Postgres

OWNER = "tester"
OTHER = "other"
KEY_TTL_SECONDS = 3600
# Few, so that a connection that is lost is soon missed.
POOL_SIZE = 3
ALL = 100_000
OK = StoredResponse(200, b"")

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """An open store, and a second one over the same data, as another replica has it (SQLite: the same one)."""

    store: ChatStore
    replica: ChatStore

    async def write(self, act: Callable[[Writer], Awaitable[T]]) -> T:
        """What `act` gives, which calls the writer once."""
        results: list[T] = []

        async def work(writer: Writer) -> StoredResponse:
            results.append(await act(writer))
            return OK

        await self.store.write(work, None)
        return results[0]

    async def new_chat(self, *contents: str, owner: str = OWNER) -> UUID:
        """A chat with these messages."""

        chat = await self.write(lambda writer: writer.create_chat(owner, uuid4(), ""))
        for content in contents:
            await self.say(chat.id, content, owner)
        return chat.id

    async def say(self, chat_id: UUID, content: str, owner: str = OWNER) -> Message:
        return await self.write(lambda writer: writer.append(owner, chat_id, user(content)))

    async def edit(self, chat_id: UUID, number: int, content: str) -> Message:
        return await self.write(lambda writer: writer.edit(OWNER, chat_id, number, content))

    async def rename(self, chat_id: UUID, title: str) -> Chat:
        return await self.write(lambda writer: writer.rename_chat(OWNER, chat_id, title))

    async def delete_message(self, chat_id: UUID, number: int) -> None:
        await self.write(lambda writer: writer.delete_message(OWNER, chat_id, number))

    async def delete_chat(self, chat_id: UUID) -> None:
        await self.write(lambda writer: writer.delete_chat(OWNER, chat_id))

    async def contents(self, chat_id: UUID, owner: str = OWNER) -> list[str]:
        """What the messages say, the oldest first."""
        messages = await self.store.messages(owner, chat_id, ALL, None)
        assert messages is not None
        return [message.content for message in reversed(messages)]

    async def found(self, query: str, owner: str = OWNER) -> list[Found]:
        """What the owner finds who types this, as the API asks for it."""
        words = WORD.findall(query)
        return await self.store.search(owner, words, ALL, None) if words else []

    async def found_contents(self, query: str, owner: str = OWNER) -> set[str]:
        return {found.message.content for found in await self.found(query, owner)}


class Stores(ABC):
    """Where the data are; `play` may be called again and finds them again."""

    @abstractmethod
    def _open(self) -> AbstractAsyncContextManager[World]: ...

    @abstractmethod
    def sql(self, statement: str) -> str:
        """What a statement gives behind the store's back: a row a line, the columns separated by `|`."""

    @abstractmethod
    def age(self, table: str, seconds: int) -> None:
        """Make all rows of the table so much older."""

    @abstractmethod
    def hold(self) -> AbstractAsyncContextManager[None]:
        """Meanwhile every write to chats has to wait, and reads need not."""

    def play(self, scenario: Callable[[World], Awaitable[T]]) -> T:
        """Open the stores, run the scenario, close the stores."""

        async def run() -> T:
            async with self._open() as world:
                return await scenario(world)

        return asyncio.run(run())


class PostgresStores(Stores):
    """A fresh database of a running server."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.database = f"test_{uuid4().hex}"
        server.sql(f"CREATE DATABASE {self.database}")

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[World]:
        async with self.pool() as one, self.pool() as two:
            await migrations.migrate(one, migrations.load())
            yield World(*(PostgresChats(pool, idempotency_ttl_seconds=KEY_TTL_SECONDS) for pool in (one, two)))

    @asynccontextmanager
    async def pool(self, servers: int = 1) -> AsyncIterator[postgres.Database]:
        """Connections to the database, whatever its schema is; with the limits of a cluster of so many `servers`."""
        settings = Settings(
            clients=Clients({}),
            redis_host="not-used.invalid",
            database_host=("127.0.0.1",) * servers,
            database_port=self.server.port,
            database_name=self.database,
            database_user="pidea",
            database_password=SecretStr(PASSWORD),
            database_pool_size=POOL_SIZE,
        )
        pool = await postgres.connect(settings, _dependency("postgres", postgres.FAILURES, POOL_SIZE))
        try:
            yield pool
        finally:
            await pool.close(5)

    def sql(self, statement: str) -> str:
        return self.server.sql(statement, self.database)

    def age(self, table: str, seconds: int) -> None:
        self.sql(f"UPDATE {table} SET created_at = created_at - interval '{seconds} seconds'")  # noqa: S608

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        session = await asyncio.to_thread(self.server.hold, "LOCK TABLE chats IN SHARE MODE", self.database)
        try:
            yield
        finally:
            await asyncio.to_thread(session.communicate, "COMMIT;\n", 30)


class SqliteStores(Stores):
    """A fresh folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[World]:
        # As many calls at once as the service allows.
        dependency = _dependency("sqlite", sqlite_chats.FAILURES, 8)
        opened = sqlite_chats.open_chats(self._folder, dependency, idempotency_ttl_seconds=KEY_TTL_SECONDS)
        async with opened as store:
            yield World(store, store)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        path = self._folder / "chats.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            yield connection

    def sql(self, statement: str) -> str:
        with self._connection() as connection:
            rows = connection.execute(statement).fetchall()
        return "\n".join("|".join("" if value is None else str(value) for value in row) for row in rows)

    def age(self, table: str, seconds: int) -> None:
        self.sql(f"UPDATE {table} SET created_at = created_at - {seconds} * 1000000")  # noqa: S608

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


def user(content: str) -> NewMessage:
    """A message as it comes from the API, checked."""
    return NewMessage(role="user", content=content)


def keyed(key: str, digest: bytes = b"digest", owner: str = OWNER) -> IdempotentRequest:
    return IdempotentRequest(owner, key, digest)


def _dependency(name: str, failures: tuple[type[Exception], ...], max_running: int) -> Dependency:
    return Dependency(
        name,
        _deaf,
        breaker=CircuitBreaker(name, _deaf, failures=Dependency.FAILURES),
        bulkhead=Bulkhead(name, max_running=max_running, max_waiting=1000),
        retry_budget=RetryBudget(0.1),
        failures=failures,
    )


def _deaf(_: Event) -> None:
    pass


async def exported(world: World, chat_id: UUID, owner: str = OWNER) -> list[str]:
    return [message.content async for message in world.store.export(owner, chat_id)]


# What a message may hold.
CONTENTS = [
    "x",
    " \t\r\n",
    "'; DROP TABLE messages; --",
    '"quoted" \\ `back` $1 %s ?1 {0}',
    "100% of _ %",
    "Grüße, u\u0308ber, İstanbul, ﬁne",
    "🙂👩‍👩‍👧‍👦 \U0010ffff",
    "שלום \u202e你好 हिन्दी",
    "\x01\x1f\x7f\ufeff\ufffe\u2028",
    "x" * MAX_CONTENT_BYTES,
    "ä" * (MAX_CONTENT_BYTES // 2),
    "a " * (MAX_CONTENT_BYTES // 2),
    "a-" * (MAX_CONTENT_BYTES // 2),
    "a.b/" * (MAX_CONTENT_BYTES // 4),
    " ".join(f"{number:04x}" for number in range(MAX_CONTENT_BYTES // 5)),
]
