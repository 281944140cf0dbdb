"""Chat history: append a message, read a page."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.chats.history import ChatHistory
from app.chats.messages import MAX_PAGE, NEWEST, Message, MessagePage, NewMessage


def router(history: ChatHistory) -> APIRouter:
    """Routes under /api/chats."""
    routes = APIRouter(prefix="/api/chats", tags=["chats"])

    @routes.post("/{chat_id}/messages", status_code=201, summary="Append a message")
    async def append(chat_id: UUID, message: NewMessage) -> Message:
        """Append to a chat; the first message makes the chat."""
        return await history.append(chat_id, message)

    @routes.get("/{chat_id}/messages", response_model=MessagePage, summary="Read messages")
    async def read(
        chat_id: UUID,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        before: Annotated[int | None, Query(ge=1, le=NEWEST)] = None,
    ) -> Response:
        """The newest messages, or those older than `before`; newest last. X-Cache: hit, miss or bypass."""
        page = await history.page(chat_id, limit, before)
        return Response(page.body, media_type="application/json", headers={"X-Cache": page.cache})

    return routes
