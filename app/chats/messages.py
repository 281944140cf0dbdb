"""Messages of a chat: what they are, and how PostgreSQL keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.storage.postgres import Database
from app.telemetry.tracing import span

MAX_CONTENT_BYTES = 64 * 1024
MAX_PAGE = 100
# Larger than every id, so that "from the newest" is the same query as "before this one".
NEWEST = 2**63 - 1

APPEND = """
WITH chat AS (
    INSERT INTO chats (id, last_message_id) VALUES ($1, 1)
    ON CONFLICT (id) DO UPDATE SET last_message_id = chats.last_message_id + 1
    RETURNING last_message_id
)
INSERT INTO messages (chat_id, id, role, content) SELECT $1, last_message_id, $2, $3 FROM chat
RETURNING id, role, content, created_at
"""
PAGE = """
SELECT id, role, content, created_at FROM messages WHERE chat_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3
"""


def _storable(content: str) -> str:
    if "\x00" in content:
        raise ValueError("must not contain the character U+0000")
    if len(content.encode()) > MAX_CONTENT_BYTES:
        raise ValueError(f"must be at most {MAX_CONTENT_BYTES} bytes of UTF-8")
    return content


class NewMessage(BaseModel):
    """What a client sends to append to a chat."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant", "system"]
    content: Annotated[str, Field(min_length=1), AfterValidator(_storable)]


class Message(BaseModel):
    """A stored message; `id` counts from 1 within its chat."""

    id: int
    role: Literal["user", "assistant", "system"]
    content: str
    created_at: datetime


class MessagePage(BaseModel):
    """Messages, the newest last. Pass `next_before` as `before` for the page before; null: no more."""

    messages: list[Message]
    next_before: int | None

    @classmethod
    def from_newest_first(cls, rows: list[Message], limit: int) -> MessagePage:
        """Build a page from up to limit + 1 rows; the row too many only tells that there is more."""
        page = rows[:limit]
        return cls(messages=page[::-1], next_before=page[-1].id if len(rows) > limit else None)


class MessageStore:
    """The tables chats and messages. Every method raises DatabaseUnavailableError when PostgreSQL is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, chat_id: UUID, message: NewMessage) -> Message:
        """Store a message as the chat's newest; the first one makes the chat."""
        with span("INSERT messages", {"db.system.name": "postgresql"}):
            async with self._database.connection() as connection:
                row = await connection.fetchrow(APPEND, chat_id, message.role, message.content)
        return Message.model_validate(dict(row or {}))

    async def page(self, chat_id: UUID, limit: int, before: int | None) -> MessagePage:
        """Up to `limit` messages older than the id `before`; an unknown chat has none."""
        with span("SELECT messages", {"db.system.name": "postgresql"}):
            async with self._database.connection() as connection:
                rows = await connection.fetch(PAGE, chat_id, NEWEST if before is None else before, limit + 1)
        return MessagePage.from_newest_first([Message.model_validate(dict(row)) for row in rows], limit)
