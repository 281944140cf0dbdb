"""What a chat history consists of, as clients see it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_CONTENT_BYTES = 64 * 1024
MAX_TITLE_CHARACTERS = 200
MAX_QUERY_CHARACTERS = 200
MAX_PAGE = 100

Role = Literal["user", "assistant", "system"]


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the character U+0000")
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("must not contain half of a surrogate pair") from None
    if size_bytes > MAX_CONTENT_BYTES:
        raise ValueError(f"must be at most {MAX_CONTENT_BYTES} bytes of UTF-8")
    return text


Content = Annotated[str, Field(min_length=1), AfterValidator(_storable)]
Title = Annotated[str, Field(max_length=MAX_TITLE_CHARACTERS), AfterValidator(_storable)]


class NewChat(BaseModel):
    """What a client sends to create a chat."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"title": "Why is the build red?"}]})

    title: Title = ""


class Chat(BaseModel):
    """A chat; `updated_at` moves with every write to it or to its messages."""

    id: UUID
    title: str
    created_at: datetime
    updated_at: datetime


class ChatPage(BaseModel):
    """The client's chats, the most recently created first. Pass `next_cursor` as `cursor`; null: no more."""

    chats: list[Chat]
    next_cursor: str | None


class NewMessage(BaseModel):
    """What a client sends to append to a chat."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"role": "user", "content": "Why is the build red?"}]}
    )

    role: Role
    content: Content


class MessageEdit(BaseModel):
    """What a client sends to change a message."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"content": "Why was the build red?"}]})

    content: Content


class Message(BaseModel):
    """A stored message; `id` counts from 1 within its chat and is never used again."""

    id: int
    role: Role
    content: str
    created_at: datetime
    edited_at: datetime | None = None


class MessagePage(BaseModel):
    """Messages, the newest last. Pass `next_cursor` as `cursor` for the page before; null: no more."""

    messages: list[Message]
    next_cursor: str | None


class Found(BaseModel):
    """A message that a search found, and its chat."""

    chat_id: UUID
    message: Message


class FoundPage(BaseModel):
    """What a search found, the newest first. Pass `next_cursor` as `cursor`; null: no more."""

    found: list[Found]
    next_cursor: str | None
