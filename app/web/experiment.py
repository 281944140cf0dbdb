"""Gives every client its variant of the experiment."""

from __future__ import annotations

import re
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import context
from app.experience.experiments import Experiment
from app.web.problems import ProblemResponse

CLIENT_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
INVALID_CLIENT_ID = "X-Client-Id must be 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'."
# A client's variant follows from its name: what is forgotten is computed again.
REMEMBERED_CLIENTS = 10_000


class AssignVariant:
    """ASGI middleware: sets the variant of the request, and says which one it was while there is a choice.

    Sticky by the header X-Client-Id; without it, by the authenticated caller; without one, by the network address.
    400 for a header that has not the form of an id.
    """

    def __init__(self, app: ASGIApp, experiment: Experiment) -> None:
        self._app = app
        self._only = experiment.variants[0].variant() if len(experiment.variants) == 1 else None
        self._assign = lru_cache(REMEMBERED_CLIENTS)(experiment.assign)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client_id = ""
        for name, value in scope["headers"]:
            if name == b"x-client-id":
                if not CLIENT_ID.fullmatch(value):
                    await ProblemResponse(400, INVALID_CLIENT_ID)(scope, receive, send)
                    return
                client_id = value.decode("ascii")
                context.use_client_id(client_id)
                break
        if self._only is not None:
            context.use_variant(self._only)
            await self._app(scope, receive, send)
            return
        chosen = self._assign(client_id or context.caller() or _address(scope))
        context.use_variant(chosen)
        header = (b"x-variant", chosen.name.encode("ascii"))

        async def send_with_variant(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, send_with_variant)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
