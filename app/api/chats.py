"""Chats and their messages."""

from __future__ import annotations

import zlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.cache.tiered import Cached
from app.chats.cursor import MAX_CHARACTERS, MAX_ID
from app.chats.history import ChatHistory
from app.chats.models import MAX_PAGE, Chat, ChatPage, Message, MessageEdit, MessagePage, NewChat, NewMessage
from app.chats.store import StoredResponse
from app.context import caller
from app.errors import NotFoundError
from app.web.idempotency import Idempotent
from app.web.problems import responses

DEFAULT_PAGE = 50
JSON = "application/json"

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="At most so many.")]
Cursor = Annotated[
    str | None, Query(max_length=MAX_CHARACTERS, description="`next_cursor` of the page before; none for the first.")
]
MessageId = Annotated[int, Path(ge=1, le=MAX_ID)]
READ_ERRORS = responses(400, 401, 404, 422, 429, 503, 504)
WRITE_ERRORS = responses(400, 401, 404, 409, 413, 422, 429, 503, 504)


def router(history: ChatHistory) -> APIRouter:
    """Routes under /api/chats."""
    routes = APIRouter(prefix="/api/chats", tags=["chats"])

    @routes.post(
        "", status_code=201, response_model=Chat, summary="Create a chat", operation_id="createChat",
        responses=WRITE_ERRORS,
    )  # fmt: skip
    async def create(new: NewChat, idempotent: Idempotent) -> Response:
        """Location names the new chat. With an `Idempotency-Key`, sending the request again creates no second one."""
        return _written(await history.create_chat(caller(), new, idempotent))

    @routes.get("", summary="List chats", operation_id="listChats", responses=READ_ERRORS)
    async def chats(limit: Limit = DEFAULT_PAGE, cursor: Cursor = None) -> ChatPage:
        """The client's chats, the most recently created first."""
        return await history.chats(caller(), limit, cursor)

    @routes.get(
        "/{chat_id}", response_model=Chat, summary="Read a chat", operation_id="readChat", responses=READ_ERRORS
    )
    async def chat(chat_id: UUID, request: Request) -> Response:
        """A chat without its messages."""
        return cached_response(await history.chat(caller(), chat_id), request.headers.get("if-none-match"))

    @routes.patch(
        "/{chat_id}", response_model=Chat, summary="Rename a chat", operation_id="renameChat", responses=WRITE_ERRORS
    )
    async def rename(chat_id: UUID, new: NewChat, idempotent: Idempotent) -> Response:
        """Give a chat another title."""
        return _written(await history.rename_chat(caller(), chat_id, new, idempotent))

    @routes.delete(
        "/{chat_id}", status_code=204, response_class=Response, summary="Delete a chat", operation_id="deleteChat",
        responses=WRITE_ERRORS,
    )  # fmt: skip
    async def delete(chat_id: UUID, idempotent: Idempotent) -> Response:
        """Remove a chat and all its messages for good."""
        return _written(await history.delete_chat(caller(), chat_id, idempotent))

    @routes.post(
        "/{chat_id}/messages", status_code=201, response_model=Message, summary="Append a message",
        operation_id="appendMessage", responses=WRITE_ERRORS,
    )  # fmt: skip
    async def append(chat_id: UUID, message: NewMessage, idempotent: Idempotent) -> Response:
        """Append to a chat. A read that starts after the answer sees the message."""
        return _written(await history.append(caller(), chat_id, message, idempotent))

    @routes.get(
        "/{chat_id}/messages", response_model=MessagePage, summary="Read messages", operation_id="readMessages",
        responses=READ_ERRORS,
    )  # fmt: skip
    async def messages(chat_id: UUID, request: Request, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None) -> Response:
        """The newest messages, or those before `cursor`; the newest last.

        `X-Cache` says where they come from (l1, l2, l3, origin). From l3 they may be out of date, because the database
        is away: `Warning` and `Age` say so.
        """
        cached = await history.messages(caller(), chat_id, limit, cursor)
        return cached_response(cached, request.headers.get("if-none-match"))

    @routes.patch(
        "/{chat_id}/messages/{message_id}", response_model=Message, summary="Edit a message",
        operation_id="editMessage", responses=WRITE_ERRORS,
    )  # fmt: skip
    async def edit(chat_id: UUID, message_id: MessageId, change: MessageEdit, idempotent: Idempotent) -> Response:
        """Change what a message says."""
        return _written(await history.edit(caller(), chat_id, message_id, change, idempotent))

    @routes.delete(
        "/{chat_id}/messages/{message_id}", status_code=204, response_class=Response, summary="Delete a message",
        operation_id="deleteMessage", responses=WRITE_ERRORS,
    )  # fmt: skip
    async def delete_message(chat_id: UUID, message_id: MessageId, idempotent: Idempotent) -> Response:
        """Remove one message for good; its id is not used again."""
        return _written(await history.delete_message(caller(), chat_id, message_id, idempotent))

    @routes.get(
        "/{chat_id}/export", response_class=StreamingResponse, summary="Export a chat", operation_id="exportChat",
        responses={
            200: {"description": "One JSON object a line", "content": {"application/x-ndjson": {}}},
            **READ_ERRORS,
        },
    )  # fmt: skip
    async def export(chat_id: UUID) -> StreamingResponse:
        """The chat on the first line, then its messages, the oldest first."""
        lines = await history.export(caller(), chat_id)
        disposition = {"Content-Disposition": f'attachment; filename="chat-{chat_id}.ndjson"'}
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=disposition)

    return routes


def cached_response(cached: Cached, if_none_match: str | None) -> Response:
    """What a cache tier or the origin answered, with where it comes from. Raises NotFoundError."""
    if cached.body is None:
        raise NotFoundError("there is no such chat")
    headers = {"X-Cache": cached.source, "Age": str(int(cached.age_seconds)), "Cache-Control": "private, no-cache"}
    if cached.stale:
        headers["Warning"] = '110 - "Response is Stale"'
    # Not a secret and not a signature: it only has to differ when the page does.
    etag = f'"{zlib.crc32(cached.body):08x}-{len(cached.body):x}"'
    headers["ETag"] = etag
    if if_none_match == etag:
        return Response(status_code=304, headers=headers)
    return Response(cached.body, media_type=JSON, headers=headers)


def _written(stored: StoredResponse) -> Response:
    headers = dict(stored.headers)
    if stored.replayed:
        headers["Idempotency-Replayed"] = "true"
    if not stored.body:
        return Response(status_code=stored.status, headers=headers)
    return Response(stored.body, stored.status, headers, JSON)
