"""Search in a client's messages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.chats import DEFAULT_PAGE, READ_ERRORS, Cursor, Limit
from app.chats.history import ChatHistory
from app.chats.models import MAX_QUERY_CHARACTERS, FoundPage
from app.context import caller


def router(history: ChatHistory) -> APIRouter:
    """Route /api/search."""
    routes = APIRouter(prefix="/api", tags=["chats"])

    @routes.get("/search", summary="Search messages", operation_id="searchMessages", responses=READ_ERRORS)
    async def search(
        q: Annotated[
            str, Query(min_length=1, max_length=MAX_QUERY_CHARACTERS, examples=["red build"], description="Words.")
        ],
        limit: Limit = DEFAULT_PAGE,
        cursor: Cursor = None,
    ) -> FoundPage:
        """Messages in any of the client's chats that have all the words, in any case; the newest first."""
        return await history.search(caller(), q, limit, cursor)

    return routes
