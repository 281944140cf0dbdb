"""Chats in SQLite: the system of record of a developer without Docker. The same rules as in PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import aiosqlite

from app.chats.models import Chat, Found, Message, NewMessage
from app.chats.store import IdempotentRequest, StoredResponse, Writer
from app.chats.words import words_of
from app.errors import IdempotencyInFlightError, IdempotencyMismatchError, NotFoundError, StartupError
from app.resilience.dependency import Dependency
from app.telemetry.tracing import span

T = TypeVar("T")
Row = sqlite3.Row

# What means that SQLite, or the disk, did not do its part.
FAILURES: tuple[type[Exception], ...] = (sqlite3.Error, OSError)
BUSY_SECONDS = 2.0
LIMIT_SECONDS = 5.0
NEWEST = 2**63 - 1
LAST_ID = str(UUID(int=2**128 - 1))
EXPORT_BATCH = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ATTRIBUTES = {"db.system.name": "sqlite"}

# Times are microseconds since 1970.
SCHEMA = """
CREATE TABLE IF NOT EXISTS chats (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL, last_message_id INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS chats_by_owner ON chats (owner, created_at, id);
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY, chat_id TEXT NOT NULL REFERENCES chats (id) ON DELETE CASCADE, id INTEGER NOT NULL,
    role TEXT NOT NULL, content TEXT NOT NULL, created_at INTEGER NOT NULL, edited_at INTEGER, UNIQUE (chat_id, id)
);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
    content, content = '', tokenize = "unicode61 remove_diacritics 0 tokenchars _"
);
CREATE TRIGGER IF NOT EXISTS words_in AFTER INSERT ON messages
    BEGIN INSERT INTO words (rowid, content) VALUES (new.number, words_of(new.content)); END;
CREATE TRIGGER IF NOT EXISTS words_out AFTER DELETE ON messages
    BEGIN INSERT INTO words (words, rowid, content) VALUES ('delete', old.number, words_of(old.content)); END;
CREATE TRIGGER IF NOT EXISTS words_change AFTER UPDATE OF content ON messages BEGIN
    INSERT INTO words (words, rowid, content) VALUES ('delete', old.number, words_of(old.content));
    INSERT INTO words (rowid, content) VALUES (new.number, words_of(new.content));
END;
CREATE TABLE IF NOT EXISTS idempotency_keys (
    owner TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, status INTEGER NOT NULL, headers TEXT NOT NULL,
    body BLOB NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (owner, key)
);
CREATE TABLE IF NOT EXISTS feedback (
    owner TEXT NOT NULL, score INTEGER NOT NULL, comment TEXT NOT NULL, chat_id TEXT, created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS web_vitals (
    owner TEXT NOT NULL, page TEXT NOT NULL, variant TEXT NOT NULL, metrics TEXT NOT NULL, created_at INTEGER NOT NULL
);
"""
CREATE_CHAT = "INSERT INTO chats (id, owner, title, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4) RETURNING *"
RENAME_CHAT = "UPDATE chats SET title = ?3, updated_at = ?4 WHERE id = ?1 AND owner = ?2 RETURNING *"
DELETE_CHAT = "DELETE FROM chats WHERE id = ?1 AND owner = ?2 RETURNING id"
NEXT_ID = """
UPDATE chats SET last_message_id = last_message_id + 1, updated_at = ?3 WHERE id = ?1 AND owner = ?2
RETURNING last_message_id
"""
APPEND = "INSERT INTO messages (chat_id, id, role, content, created_at) VALUES (?, ?, ?, ?, ?) RETURNING *"
TOUCH = "UPDATE chats SET updated_at = ?3 WHERE id = ?1 AND owner = ?2 RETURNING id"
EDIT = "UPDATE messages SET content = ?3, edited_at = ?4 WHERE chat_id = ?1 AND id = ?2 RETURNING *"
DELETE_MESSAGE = "DELETE FROM messages WHERE chat_id = ?1 AND id = ?2 RETURNING id"
CHAT = "SELECT * FROM chats WHERE id = ? AND owner = ?"
CHATS = """
SELECT * FROM chats WHERE owner = ? AND (created_at, id) < (?, ?)
ORDER BY created_at DESC, id DESC LIMIT ?
"""
MESSAGES = "SELECT * FROM messages WHERE chat_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
SEARCH = """
SELECT m.chat_id, m.id, m.role, m.content, m.created_at, m.edited_at
FROM words w JOIN messages m ON m.number = w.rowid JOIN chats c ON c.id = m.chat_id
WHERE words MATCH ?1 AND c.owner = ?2 AND (m.created_at, m.chat_id, m.id) < (?3, ?4, ?5)
ORDER BY m.created_at DESC, m.chat_id DESC, m.id DESC LIMIT ?6
"""
EXPORT = "SELECT * FROM messages WHERE chat_id = ? AND id > ? ORDER BY id LIMIT ?"
KNOWN_KEY = "SELECT digest, status, headers, body FROM idempotency_keys WHERE owner = ? AND key = ? AND created_at > ?"
REMEMBER_KEY = "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?, ?)"
FORGET_KEYS = "DELETE FROM idempotency_keys WHERE created_at < ? RETURNING 1"


class SqliteChats:
    """A ChatStore. Made by `open_chats`."""

    def __init__(
        self,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        dependency: Dependency,
        *,
        idempotency_ttl_seconds: float,
    ) -> None:
        self._writer = writer
        # So that reads do not wait for a write.
        self._reader = reader
        self._dependency = dependency
        self._idempotency_ttl_microseconds = int(idempotency_ttl_seconds * 1_000_000)
        self._one_writer = asyncio.Lock()
        self._in_flight: set[tuple[str, str]] = set()

    async def write(
        self, work: Callable[[Writer], Awaitable[StoredResponse]], request: IdempotentRequest | None
    ) -> StoredResponse:
        """See ChatStore."""
        if request is None:
            return await self._transact("write", lambda: work(_SqliteWriter(self._writer)))
        flight = (request.owner, request.key)
        if flight in self._in_flight:
            known = await self._dependency.call(
                "known key", lambda: self._known(self._reader, request), limit_seconds=LIMIT_SECONDS
            )
            if known is None:
                raise IdempotencyInFlightError("the first request with this Idempotency-Key is still running")
            return known
        self._in_flight.add(flight)
        try:
            return await self._transact("write", lambda: self._once(work, request))
        finally:
            self._in_flight.discard(flight)

    async def _once(
        self, work: Callable[[Writer], Awaitable[StoredResponse]], request: IdempotentRequest
    ) -> StoredResponse:
        known = await self._known(self._writer, request)
        if known is not None:
            return known
        response = await work(_SqliteWriter(self._writer))
        headers = json.dumps(dict(response.headers))
        remembered = (request.digest, response.status, headers, response.body, _now())
        await self._writer.execute(REMEMBER_KEY, (request.owner, request.key, *remembered))
        return response

    async def _known(self, connection: aiosqlite.Connection, request: IdempotentRequest) -> StoredResponse | None:
        earliest = _now() - self._idempotency_ttl_microseconds
        rows = await _rows(connection, KNOWN_KEY, request.owner, request.key, earliest)
        if not rows:
            return None
        if rows[0]["digest"] != request.digest:
            raise IdempotencyMismatchError("this Idempotency-Key was used for another request")
        return StoredResponse(rows[0]["status"], rows[0]["body"], json.loads(rows[0]["headers"]), replayed=True)

    async def chat(self, owner: str, chat_id: UUID) -> Chat | None:
        """See ChatStore."""
        rows = await self._read("chat", CHAT, str(chat_id), owner)
        return _chat(rows[0]) if rows else None

    async def chats(self, owner: str, limit: int, before: tuple[datetime, UUID] | None) -> list[Chat]:
        """See ChatStore."""
        last = (_microseconds(before[0]), str(before[1])) if before else (NEWEST, LAST_ID)
        return [_chat(row) for row in await self._read("chats", CHATS, owner, *last, limit)]

    async def messages(self, owner: str, chat_id: UUID, limit: int, before: int | None) -> list[Message] | None:
        """See ChatStore."""
        if await self.chat(owner, chat_id) is None:
            return None
        rows = await self._read("messages", MESSAGES, str(chat_id), NEWEST if before is None else before, limit)
        return [_message(row) for row in rows]

    async def search(
        self, owner: str, words: list[str], limit: int, before: tuple[datetime, UUID, int] | None
    ) -> list[Found]:
        """See ChatStore."""
        last = (_microseconds(before[0]), str(before[1]), before[2]) if before else (NEWEST, LAST_ID, NEWEST)
        # In quotes nothing is an operator of the search language.
        phrase = " ".join('"' + word.replace('"', '""') + '"' for word in words)
        rows = await self._read("search", SEARCH, phrase, owner, *last, limit)
        return [Found(chat_id=UUID(row["chat_id"]), message=_message(row)) for row in rows]

    async def export(self, owner: str, chat_id: UUID) -> AsyncIterator[Message]:
        """See ChatStore."""
        if await self.chat(owner, chat_id) is None:
            raise NotFoundError("there is no such chat")
        last = 0
        while True:
            rows = await self._read("export", EXPORT, str(chat_id), last, EXPORT_BATCH)
            for row in rows:
                yield _message(row)
            if len(rows) < EXPORT_BATCH:
                return
            last = rows[-1]["id"]

    async def add_feedback(self, owner: str, score: int, comment: str, chat_id: UUID | None) -> None:
        """See ChatStore."""
        values = (owner, score, comment, str(chat_id) if chat_id else None, _now())
        await self._transact("add feedback", lambda: _run(self._writer, "feedback", values))

    async def add_web_vitals(self, owner: str, page: str, values: Mapping[str, float], variant: str) -> None:
        """See ChatStore."""
        row = (owner, page, variant, json.dumps(dict(values)), _now())
        await self._transact("add web vitals", lambda: _run(self._writer, "web_vitals", row))

    async def forget_old_keys(self) -> int:
        """See ChatStore."""
        earliest = _now() - self._idempotency_ttl_microseconds
        return len(await self._transact("forget keys", lambda: _rows(self._writer, FORGET_KEYS, earliest)))

    async def check(self) -> None:
        """See ChatStore."""
        await _rows(self._reader, "SELECT 1")

    async def _read(self, operation: str, statement: str, *arguments: object) -> list[Row]:
        with span(f"SELECT {operation}", ATTRIBUTES):
            return await self._dependency.call(
                operation,
                lambda: _rows(self._reader, statement, *arguments),
                limit_seconds=LIMIT_SECONDS,
                retry=True,
            )

    async def _transact(self, operation: str, work: Callable[[], Awaitable[T]]) -> T:
        async def run() -> T:
            async with self._one_writer:
                try:
                    # Within: it may begin although the request that waits for it has gone.
                    await self._writer.execute("BEGIN IMMEDIATE")
                    result = await work()
                    await self._writer.execute("COMMIT")
                    return result
                except BaseException:
                    # Shielded: a cancelled request must not leave the transaction open for the next one.
                    await asyncio.shield(self._roll_back())
                    raise

        with span(f"transaction {operation}", ATTRIBUTES):
            return await self._dependency.call(operation, run, limit_seconds=LIMIT_SECONDS)

    async def _roll_back(self) -> None:
        # Nothing to roll back where the commit had happened already.
        with contextlib.suppress(sqlite3.OperationalError):
            await self._writer.execute("ROLLBACK")


class _SqliteWriter:
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def create_chat(self, owner: str, chat_id: UUID, title: str) -> Chat:
        return _chat(await self._one(CREATE_CHAT, str(chat_id), owner, title, _now()))

    async def rename_chat(self, owner: str, chat_id: UUID, title: str) -> Chat:
        return _chat(await self._one(RENAME_CHAT, str(chat_id), owner, title, _now()))

    async def delete_chat(self, owner: str, chat_id: UUID) -> None:
        await self._one(DELETE_CHAT, str(chat_id), owner)

    async def append(self, owner: str, chat_id: UUID, message: NewMessage) -> Message:
        number = (await self._one(NEXT_ID, str(chat_id), owner, _now()))[0]
        return _message(await self._one(APPEND, str(chat_id), number, message.role, message.content, _now()))

    async def edit(self, owner: str, chat_id: UUID, message_id: int, content: str) -> Message:
        await self._one(TOUCH, str(chat_id), owner, _now())
        return _message(await self._one(EDIT, str(chat_id), message_id, content, _now()))

    async def delete_message(self, owner: str, chat_id: UUID, message_id: int) -> None:
        await self._one(TOUCH, str(chat_id), owner, _now())
        await self._one(DELETE_MESSAGE, str(chat_id), message_id)

    async def _one(self, statement: str, *arguments: object) -> Row:
        rows = await _rows(self._connection, statement, *arguments)
        if not rows:
            raise NotFoundError("there is no such chat or message")
        return rows[0]


@contextlib.asynccontextmanager
async def open_chats(
    folder: Path, dependency: Dependency, *, idempotency_ttl_seconds: float
) -> AsyncIterator[SqliteChats]:
    """The store in `folder`, made if it is not there. Raises StartupError where that is not possible."""
    async with contextlib.AsyncExitStack() as connections:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / "chats.sqlite"
            path.touch(mode=0o600)
            writer = await connections.enter_async_context(_connect(path))
            await writer.execute("PRAGMA journal_mode=WAL")
            await writer.executescript(SCHEMA)
            reader = await connections.enter_async_context(_connect(path))
            await reader.execute("PRAGMA query_only=ON")
        except (sqlite3.Error, OSError) as error:
            raise StartupError(f"cannot keep chats in {folder}: {error}") from error
        yield SqliteChats(writer, reader, dependency, idempotency_ttl_seconds=idempotency_ttl_seconds)


@contextlib.asynccontextmanager
async def _connect(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    # Transactions are begun and ended by statements of ours.
    async with aiosqlite.connect(path, timeout=BUSY_SECONDS, isolation_level=None) as connection:
        connection.row_factory = Row
        await connection.create_function("words_of", 1, words_of, deterministic=True)
        await connection.execute("PRAGMA foreign_keys=ON")
        yield connection


def _rows(connection: aiosqlite.Connection, statement: str, *arguments: object) -> Coroutine[Any, Any, list[Row]]:
    async def fetch() -> list[Row]:
        return list(await connection.execute_fetchall(statement, arguments))

    return fetch()


async def _run(connection: aiosqlite.Connection, table: str, values: tuple[object, ...]) -> None:
    marks = ", ".join("?" * len(values))
    await connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608 - both are ours


def _now() -> int:
    return time.time_ns() // 1000


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def _chat(row: Row) -> Chat:
    created_at, updated_at = _moment(row["created_at"]), _moment(row["updated_at"])
    return Chat.model_construct(id=UUID(row["id"]), title=row["title"], created_at=created_at, updated_at=updated_at)


def _message(row: Row) -> Message:
    edited_at = row["edited_at"]
    return Message.model_construct(
        id=row["id"],
        role=row["role"],
        content=row["content"],
        created_at=_moment(row["created_at"]),
        edited_at=None if edited_at is None else _moment(edited_at),
    )
