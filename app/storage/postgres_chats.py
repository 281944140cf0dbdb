"""Chats in PostgreSQL."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from app.chats.models import Chat, Found, Message, NewMessage
from app.chats.store import IdempotentRequest, StoredResponse, Writer
from app.errors import IdempotencyInFlightError, IdempotencyMismatchError, NotFoundError
from app.storage.patience import UndecidedError
from app.storage.postgres import Database
from app.telemetry.tracing import span

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

# Larger than every id, so that "from the newest" is the same query as "before this one".
NEWEST = 2**63 - 1
LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)
LAST_ID = UUID(int=2**128 - 1)
EXPORT_BATCH = 500
FORGET_BATCH = 10_000

CREATE_CHAT = """
INSERT INTO chats (id, owner, title, last_message_id) VALUES ($1, $2, $3, 0)
RETURNING id, title, created_at, updated_at
"""
RENAME_CHAT = """
UPDATE chats SET title = $3, updated_at = clock_timestamp() WHERE id = $1 AND owner = $2
RETURNING id, title, created_at, updated_at
"""
DELETE_CHAT = "DELETE FROM chats WHERE id = $1 AND owner = $2 RETURNING id"
# The row lock on the chat makes the order of the ids that of the commits.
APPEND = """
WITH chat AS (
    UPDATE chats SET last_message_id = last_message_id + 1, updated_at = clock_timestamp()
    WHERE id = $1 AND owner = $2 RETURNING last_message_id
)
INSERT INTO messages (chat_id, id, role, content) SELECT $1, last_message_id, $3, $4 FROM chat
RETURNING id, role, content, created_at, edited_at
"""
EDIT = """
WITH chat AS (
    UPDATE chats SET updated_at = clock_timestamp()
    WHERE id = $1 AND owner = $2 AND EXISTS (SELECT FROM messages WHERE chat_id = $1 AND id = $3) RETURNING id
)
UPDATE messages SET content = $4, edited_at = clock_timestamp() FROM chat
WHERE messages.chat_id = chat.id AND messages.id = $3
RETURNING messages.id, role, content, messages.created_at, edited_at
"""
DELETE_MESSAGE = """
WITH chat AS (
    UPDATE chats SET updated_at = clock_timestamp()
    WHERE id = $1 AND owner = $2 AND EXISTS (SELECT FROM messages WHERE chat_id = $1 AND id = $3) RETURNING id
)
DELETE FROM messages USING chat WHERE messages.chat_id = chat.id AND messages.id = $3 RETURNING messages.id
"""
CHAT = "SELECT id, title, created_at, updated_at FROM chats WHERE id = $1 AND owner = $2"
CHATS = """
SELECT id, title, created_at, updated_at FROM chats WHERE owner = $1 AND (created_at, id) < ($2, $3)
ORDER BY created_at DESC, id DESC LIMIT $4
"""
# One row without a message for a chat that has none, no row for no chat.
MESSAGES = """
SELECT m.id, m.role, m.content, m.created_at, m.edited_at FROM chats LEFT JOIN LATERAL (
    SELECT id, role, content, created_at, edited_at FROM messages
    WHERE chat_id = chats.id AND id < $3 ORDER BY id DESC LIMIT $4
) m ON true WHERE chats.id = $1 AND chats.owner = $2
"""
SEARCH = """
SELECT m.chat_id, m.id, m.role, m.content, m.created_at, m.edited_at FROM messages m JOIN chats c ON c.id = m.chat_id
WHERE c.owner = $1
  AND words_of(m.content) @@ (SELECT string_agg(quote_literal(lexeme), ' & ')::tsquery FROM unnest(words_of($2)))
  AND (m.created_at, m.chat_id, m.id) < ($3, $4, $5)
ORDER BY m.created_at DESC, m.chat_id DESC, m.id DESC LIMIT $6
"""
EXPORT = """
SELECT id, role, content, created_at, edited_at FROM messages
WHERE chat_id = $1 AND id > $2 AND EXISTS (SELECT FROM chats WHERE id = $1 AND owner = $3) ORDER BY id LIMIT $4
"""
LOCK_KEY = "SELECT pg_try_advisory_xact_lock($1)"
# Locked, which is a write: the commit waits for a standby's word. The first attempt may have given up waiting for it.
KNOWN_KEY = """
SELECT digest, status, headers, body FROM idempotency_keys
WHERE owner = $1 AND key = $2 AND created_at > clock_timestamp() - make_interval(secs => $3) FOR NO KEY UPDATE
"""
REMEMBER_KEY = """
INSERT INTO idempotency_keys (owner, key, digest, status, headers, body) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (owner, key) DO UPDATE SET digest = excluded.digest, status = excluded.status,
    headers = excluded.headers, body = excluded.body, created_at = clock_timestamp()
"""
FORGET_KEYS = """
DELETE FROM idempotency_keys WHERE (owner, key) IN (
    SELECT owner, key FROM idempotency_keys
    WHERE created_at < clock_timestamp() - make_interval(secs => $1) LIMIT $2
) RETURNING 1
"""
FEEDBACK = "INSERT INTO feedback (owner, score, comment, chat_id) VALUES ($1, $2, $3, $4)"
WEB_VITALS = "INSERT INTO web_vitals (owner, page, variant, metrics) VALUES ($1, $2, $3, $4)"

ATTRIBUTES = {"db.system.name": "postgresql"}


class PostgresChats:
    """A ChatStore."""

    def __init__(self, database: Database, *, idempotency_ttl_seconds: float) -> None:
        self._database = database
        self._idempotency_ttl_seconds = float(idempotency_ttl_seconds)

    async def write(
        self, work: Callable[[Writer], Awaitable[StoredResponse]], request: IdempotentRequest | None
    ) -> StoredResponse:
        """See ChatStore."""

        if request is None:
            with span("write chats", ATTRIBUTES):
                return await self._database.run_once("write", lambda connection: work(_PostgresWriter(connection)))

        attempts = itertools.count(1)

        async def run(connection: PoolConnectionProxy[asyncpg.Record]) -> StoredResponse:
            is_repeated = next(attempts) > 1
            try:
                known = await self._known(connection, request)
            except IdempotencyInFlightError as error:
                if is_repeated:
                    # Its own attempt before, which waits for a standby's word: what became of it will be known soon.
                    raise UndecidedError(str(error)) from error
                raise
            if known is not None:
                return known
            response = await work(_PostgresWriter(connection))
            headers = json.dumps(dict(response.headers))
            remembered = (request.digest, response.status, headers, response.body)
            await connection.execute(REMEMBER_KEY, request.owner, request.key, *remembered)
            return response

        with span("transaction chats", ATTRIBUTES):
            # Whether an attempt before was committed, its key tells the next one.
            return await self._database.transact("write", run, repeatable=True)

    async def _known(
        self, connection: PoolConnectionProxy[asyncpg.Record], request: IdempotentRequest
    ) -> StoredResponse | None:
        # Held until the transaction ends, however it ends: whoever gets it sees whether the key was remembered.
        is_first = await connection.fetchval(LOCK_KEY, _lock_number(request))
        row = await connection.fetchrow(KNOWN_KEY, request.owner, request.key, self._idempotency_ttl_seconds)
        if row is None and not is_first:
            raise IdempotencyInFlightError("the first request with this Idempotency-Key is still running")
        if row is None:
            return None
        if row["digest"] != request.digest:
            raise IdempotencyMismatchError("this Idempotency-Key was used for another request")
        return StoredResponse(row["status"], row["body"], json.loads(row["headers"]), replayed=True)

    async def chat(self, owner: str, chat_id: UUID) -> Chat | None:
        """See ChatStore."""
        with span("SELECT chats", ATTRIBUTES):
            rows = await self._database.fetch("chat", CHAT, chat_id, owner)
        return _chat(rows[0]) if rows else None

    async def chats(self, owner: str, limit: int, before: tuple[datetime, UUID] | None) -> list[Chat]:
        """See ChatStore."""
        with span("SELECT chats", ATTRIBUTES):
            rows = await self._database.fetch("chats", CHATS, owner, *(before or (LAST_DAY, LAST_ID)), limit)
        return [_chat(row) for row in rows]

    async def messages(self, owner: str, chat_id: UUID, limit: int, before: int | None) -> list[Message] | None:
        """See ChatStore."""
        with span("SELECT messages", ATTRIBUTES):
            rows = await self._database.fetch(
                "messages", MESSAGES, chat_id, owner, NEWEST if before is None else before, limit
            )
        if not rows:
            return None
        return [_message(row) for row in rows if row["id"] is not None]

    async def search(
        self, owner: str, words: list[str], limit: int, before: tuple[datetime, UUID, int] | None
    ) -> list[Found]:
        """See ChatStore."""
        last = before or (LAST_DAY, LAST_ID, NEWEST)
        with span("SELECT messages by word", ATTRIBUTES):
            rows = await self._database.fetch("search", SEARCH, owner, " ".join(words), *last, limit)
        return [Found(chat_id=row["chat_id"], message=_message(row)) for row in rows]

    async def export(self, owner: str, chat_id: UUID) -> AsyncIterator[Message]:
        """See ChatStore.

        In batches, each with a statement of its own: a client that reads slowly holds neither a connection nor a
        snapshot. What is edited meanwhile comes as it was or as it is.
        """
        if await self.chat(owner, chat_id) is None:
            raise NotFoundError("there is no such chat")
        last = 0
        while True:
            rows = await self._database.fetch("export", EXPORT, chat_id, last, owner, EXPORT_BATCH)
            for row in rows:
                yield _message(row)
            if len(rows) < EXPORT_BATCH:
                return
            last = rows[-1]["id"]

    async def add_feedback(self, owner: str, score: int, comment: str, chat_id: UUID | None) -> None:
        """See ChatStore."""
        await self._insert("add feedback", FEEDBACK, owner, score, comment, chat_id)

    async def add_web_vitals(self, owner: str, page: str, values: Mapping[str, float], variant: str) -> None:
        """See ChatStore."""
        await self._insert("add web vitals", WEB_VITALS, owner, page, variant, json.dumps(dict(values)))

    async def forget_old_keys(self) -> int:
        """See ChatStore."""

        async def run(connection: PoolConnectionProxy[asyncpg.Record]) -> int:
            return len(await connection.fetch(FORGET_KEYS, self._idempotency_ttl_seconds, FORGET_BATCH))

        return await self._database.transact("forget keys", run)

    async def check(self) -> None:
        """See ChatStore."""
        await self._database.check()

    async def _insert(self, operation: str, statement: str, *arguments: object) -> None:
        async def run(connection: PoolConnectionProxy[asyncpg.Record]) -> None:
            await connection.execute(statement, *arguments)

        with span(f"INSERT {operation}", ATTRIBUTES):
            await self._database.transact(operation, run)


class _PostgresWriter:
    def __init__(self, connection: PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection

    async def create_chat(self, owner: str, chat_id: UUID, title: str) -> Chat:
        return _chat(await self._one(CREATE_CHAT, chat_id, owner, title))

    async def rename_chat(self, owner: str, chat_id: UUID, title: str) -> Chat:
        return _chat(await self._one(RENAME_CHAT, chat_id, owner, title))

    async def delete_chat(self, owner: str, chat_id: UUID) -> None:
        await self._one(DELETE_CHAT, chat_id, owner)

    async def append(self, owner: str, chat_id: UUID, message: NewMessage) -> Message:
        return _message(await self._one(APPEND, chat_id, owner, message.role, message.content))

    async def edit(self, owner: str, chat_id: UUID, message_id: int, content: str) -> Message:
        return _message(await self._one(EDIT, chat_id, owner, message_id, content))

    async def delete_message(self, owner: str, chat_id: UUID, message_id: int) -> None:
        await self._one(DELETE_MESSAGE, chat_id, owner, message_id)

    async def _one(self, statement: str, *arguments: object) -> asyncpg.Record:
        row = await self._connection.fetchrow(statement, *arguments)
        if row is None:
            raise NotFoundError("there is no such chat or message")
        return row


def _lock_number(request: IdempotentRequest) -> int:
    name = f"{request.owner}\0{request.key}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)


# Not validated again: it is what this service stored, under the table's own checks.
def _chat(row: Mapping[str, Any]) -> Chat:
    return Chat.model_construct(**row)


def _message(row: Mapping[str, Any]) -> Message:
    return Message.model_construct(
        id=row["id"],
        role=row["role"],
        content=row["content"],
        created_at=row["created_at"],
        edited_at=row["edited_at"],
    )
