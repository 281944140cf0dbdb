"""What the service needs of a system of record; app.storage has one for PostgreSQL and one for SQLite.

Every method raises DependencyUnavailableError when the system is not there, and DeadlineExceededError when the request
has no time left. `owner` is the client: another owner's chat does not exist.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.chats.models import Chat, Found, Message, NewMessage


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The answer to a write, as it is sent, and as it is sent again to a repeated Idempotency-Key."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """One client's Idempotency-Key, and the digest of method, path and body that it goes with."""

    owner: str
    key: str
    digest: bytes


class Writer(Protocol):
    """The writes of one transaction. Each raises NotFoundError for what is not there or is not the owner's."""

    async def create_chat(self, owner: str, chat_id: UUID, title: str) -> Chat:
        """A new chat."""
        ...

    async def rename_chat(self, owner: str, chat_id: UUID, title: str) -> Chat:
        """The chat with another title."""
        ...

    async def delete_chat(self, owner: str, chat_id: UUID) -> None:
        """Remove the chat and its messages."""
        ...

    async def append(self, owner: str, chat_id: UUID, message: NewMessage) -> Message:
        """The message, stored as the chat's newest."""
        ...

    async def edit(self, owner: str, chat_id: UUID, message_id: int, content: str) -> Message:
        """The message with another content."""
        ...

    async def delete_message(self, owner: str, chat_id: UUID, message_id: int) -> None:
        """Remove one message."""
        ...


class ChatStore(Protocol):
    """The system of record."""

    async def write(
        self, work: Callable[[Writer], Awaitable[StoredResponse]], request: IdempotentRequest | None
    ) -> StoredResponse:
        """Do `work`, which calls the writer once, and remember its response under the request's key: both or neither.

        A key that was used before with the same digest gives the stored response, `replayed`, and does nothing.
        Raises IdempotencyMismatchError for another digest, IdempotencyInFlightError while the first is running, and
        whatever `work` raises; then nothing is stored and the key is as new.
        """
        ...

    async def chat(self, owner: str, chat_id: UUID) -> Chat | None:
        """One chat."""
        ...

    async def chats(self, owner: str, limit: int, before: tuple[datetime, UUID] | None) -> list[Chat]:
        """Up to `limit` chats in falling order of (created_at, id), those before `before` only."""
        ...

    async def messages(self, owner: str, chat_id: UUID, limit: int, before: int | None) -> list[Message] | None:
        """Up to `limit` messages, the newest first, those with an id below `before` only; None: no such chat."""
        ...

    async def search(
        self, owner: str, words: list[str], limit: int, before: tuple[datetime, UUID, int] | None
    ) -> list[Found]:
        """Messages that have all words (whole words, any case), in falling order of (created_at, chat id, id)."""
        ...

    def export(self, owner: str, chat_id: UUID) -> AsyncIterator[Message]:
        """All messages of a chat, the oldest first, without holding them all in memory. Raises NotFoundError."""
        ...

    async def add_feedback(self, owner: str, score: int, comment: str, chat_id: UUID | None) -> None:
        """Store a user's rating."""
        ...

    async def add_web_vitals(self, owner: str, page: str, values: Mapping[str, float], variant: str) -> None:
        """Store what a browser measured."""
        ...

    async def forget_old_keys(self) -> int:
        """Remove Idempotency-Keys that have expired; how many."""
        ...

    async def check(self) -> None:
        """Raise unless a trivial query is answered."""
        ...
