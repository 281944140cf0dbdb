"""Chat histories: the system of record behind the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID, uuid4

from pydantic import BaseModel

from app.cache.entry import Key
from app.cache.tiered import Cached, TieredCache
from app.chats import cursor as cursors
from app.chats.models import ChatPage, FoundPage, Message, MessageEdit, MessagePage, NewChat, NewMessage
from app.chats.store import ChatStore, IdempotentRequest, StoredResponse, Writer
from app.chats.words import WORD
from app.errors import BreakerOpenError, BulkheadFullError, NotFoundError
from app.events import IdempotentReplay, Listener

NO_SUCH_CHAT = "there is no such chat"
MAX_WORDS = 20


class ChatHistory:
    """Every operation raises what ChatStore raises; reads of chats and pages go through the cache.

    `owner` is the client: what belongs to another one does not exist.
    """

    def __init__(self, store: ChatStore, cache: TieredCache, emit: Listener) -> None:
        self._store = store
        self._cache = cache
        self._emit = emit

    async def create_chat(self, owner: str, new: NewChat, request: IdempotentRequest | None) -> StoredResponse:
        """A new chat, as JSON."""
        chat_id = uuid4()

        async def work(writer: Writer) -> StoredResponse:
            chat = await writer.create_chat(owner, chat_id, new.title)
            return _response(201, chat, {"Location": f"/api/chats/{chat.id}"})

        return await self._write(work, request)

    async def rename_chat(
        self, owner: str, chat_id: UUID, new: NewChat, request: IdempotentRequest | None
    ) -> StoredResponse:
        """The chat with another title, as JSON."""

        async def work(writer: Writer) -> StoredResponse:
            return _response(200, await writer.rename_chat(owner, chat_id, new.title))

        return await self._write(work, request, str(chat_id))

    async def delete_chat(self, owner: str, chat_id: UUID, request: IdempotentRequest | None) -> StoredResponse:
        """Remove a chat and its messages."""

        async def work(writer: Writer) -> StoredResponse:
            await writer.delete_chat(owner, chat_id)
            return StoredResponse(204, b"")

        return await self._write(work, request, str(chat_id))

    async def append(
        self, owner: str, chat_id: UUID, new: NewMessage, request: IdempotentRequest | None
    ) -> StoredResponse:
        """Append a message; it is the answer, as JSON."""

        async def work(writer: Writer) -> StoredResponse:
            message = await writer.append(owner, chat_id, new)
            return _response(201, message, {"Location": f"/api/chats/{chat_id}/messages/{message.id}"})

        return await self._write(work, request, str(chat_id))

    async def edit(
        self, owner: str, chat_id: UUID, message_id: int, edit: MessageEdit, request: IdempotentRequest | None
    ) -> StoredResponse:
        """Change a message; it is the answer, as JSON."""

        async def work(writer: Writer) -> StoredResponse:
            return _response(200, await writer.edit(owner, chat_id, message_id, edit.content))

        return await self._write(work, request, str(chat_id))

    async def delete_message(
        self, owner: str, chat_id: UUID, message_id: int, request: IdempotentRequest | None
    ) -> StoredResponse:
        """Remove one message."""

        async def work(writer: Writer) -> StoredResponse:
            await writer.delete_message(owner, chat_id, message_id)
            return StoredResponse(204, b"")

        return await self._write(work, request, str(chat_id))

    async def chat(self, owner: str, chat_id: UUID) -> Cached:
        """A chat as JSON; `body` None: there is none."""

        async def load() -> bytes | None:
            chat = await self._store.chat(owner, chat_id)
            return None if chat is None else chat.model_dump_json().encode()

        return await self._cache.read(Key(str(chat_id), f"{owner}:chat"), load)

    async def chats(self, owner: str, limit: int, cursor: str | None) -> ChatPage:
        """A page of the client's chats. InvalidCursorError.

        Not cached: every message of every chat of the client changes it.
        """
        before = None if cursor is None else cursors.chat(cursor)
        # One too many, which only tells that there are more.
        chats = await self._store.chats(owner, limit + 1, before)
        page = chats[:limit]
        next_cursor = cursors.for_chat(page[-1].created_at, page[-1].id) if len(chats) > limit else None
        return ChatPage.model_construct(chats=page, next_cursor=next_cursor)

    async def messages(self, owner: str, chat_id: UUID, limit: int, cursor: str | None) -> Cached:
        """A page of messages as JSON; `body` None: there is no such chat. InvalidCursorError."""
        before = None if cursor is None else cursors.message(cursor)

        async def load() -> bytes | None:
            messages = await self._store.messages(owner, chat_id, limit + 1, before)
            if messages is None:
                return None
            page = messages[:limit]
            next_cursor = cursors.for_message(page[-1].id) if len(messages) > limit else None
            page.reverse()
            return MessagePage.model_construct(messages=page, next_cursor=next_cursor).model_dump_json().encode()

        return await self._cache.read(Key(str(chat_id), f"{owner}:messages:{limit}:{cursor or ''}"), load)

    async def search(self, owner: str, query: str, limit: int, cursor: str | None) -> FoundPage:
        """Messages with all words of `query`, the newest first. InvalidCursorError."""
        before = None if cursor is None else cursors.found(cursor)
        words = WORD.findall(query)[:MAX_WORDS]
        found = await self._store.search(owner, words, limit + 1, before) if words else []
        page = found[:limit]
        next_cursor = None
        if len(found) > limit:
            last = page[-1]
            next_cursor = cursors.for_found(last.message.created_at, last.chat_id, last.message.id)
        return FoundPage.model_construct(found=page, next_cursor=next_cursor)

    async def export(self, owner: str, chat_id: UUID) -> AsyncIterator[bytes]:
        """The chat, then its messages, the oldest first, each a line of JSON. Raises NotFoundError at once."""
        chat = await self._store.chat(owner, chat_id)
        if chat is None:
            raise NotFoundError(NO_SUCH_CHAT)
        return _lines(chat, self._store.export(owner, chat_id))

    async def _write(
        self,
        work: Callable[[Writer], Awaitable[StoredResponse]],
        request: IdempotentRequest | None,
        *groups: str,
    ) -> StoredResponse:
        try:
            response = await self._store.write(work, request)
        except (BreakerOpenError, BulkheadFullError):
            # Never sent: what is cached is as good as before, and while the store is away all that there is.
            raise
        except BaseException:
            # A connection that broke in the commit does not tell whether it happened.
            await self._cache.invalidate(*groups, perhaps=True)
            raise
        await self._cache.invalidate(*groups)
        if response.replayed:
            self._emit(IdempotentReplay())
        return response


def _response(status: int, body: BaseModel, headers: dict[str, str] | None = None) -> StoredResponse:
    return StoredResponse(status, body.model_dump_json().encode(), headers or {})


async def _lines(chat: BaseModel, messages: AsyncIterator[Message]) -> AsyncIterator[bytes]:
    yield chat.model_dump_json().encode() + b"\n"
    async for message in messages:
        yield message.model_dump_json().encode() + b"\n"
