"""The most frequent request, without the detour over routing and validation, which cost several times what it does.

It is the route `GET /api/chats/{chat_id}/messages` and answers just as that one does, which a test holds it to.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from uuid import UUID

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.chats import DEFAULT_PAGE, cached_response
from app.chats.history import ChatHistory
from app.context import caller
from app.web.problems import answer_to

TEMPLATE = "/api/chats/{chat_id}/messages"
# Only what needs no validation: the newest messages of a chat. Anything else takes the route, which says what is wrong.
PATH = re.compile(r"/api/chats/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/messages")
LIMIT = re.compile(rb"limit=([1-9][0-9]?|100)")
# What the surroundings ask of a route.
ROUTE = SimpleNamespace(path=TEMPLATE)


class HotReads:
    """The innermost ASGI middleware."""

    def __init__(self, app: ASGIApp, history: ChatHistory) -> None:
        self._app = app
        self._history = history

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        path, query = PATH.fullmatch(scope["path"]), scope["query_string"]
        limited = LIMIT.fullmatch(query) if query else None
        if path is None or (query and limited is None):
            await self._app(scope, receive, send)
            return
        scope["route"] = ROUTE
        limit = int(limited[1]) if limited else DEFAULT_PAGE
        try:
            cached = await self._history.messages(caller(), UUID(path[1]), limit, None)
            response = cached_response(cached, _if_none_match(scope))
        except Exception as error:
            answer = answer_to(error)
            if answer is None:
                raise
            response = answer
        await response(scope, receive, send)


def _if_none_match(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            return str(value.decode("latin-1"))
    return None
