"""Who asks: bearer tokens (RFC 6750) for everything under /api/ that is not for machines or browsers to look around."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from app import context
from app.events import Listener, RequestShed
from app.web.clients import Clients
from app.web.problems import ProblemResponse
from app.web.rate_limit import Limiter, too_many

OPEN_PATHS = ("/api/health", "/api/health/live", "/api/health/ready", "/api/status", "/api/openapi.json")
SCHEME = b"bearer "
MAX_TOKEN_BYTES = 512
# Wrong tokens from one address: plenty for a client with an old token, nothing for one that guesses.
FAILURES_PER_SECOND = 10.0
MISSING = "Send the header `Authorization: Bearer TOKEN` with your token."
WRONG = "The token is not known here; it may have been replaced."


class Authenticate:
    """ASGI middleware: sets the caller, or answers 401. The token is neither logged nor kept."""

    def __init__(self, app: ASGIApp, emit: Listener, clients: Clients) -> None:
        self._app = app
        self._emit = emit
        self._clients = clients
        self._failures = Limiter(FAILURES_PER_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or not _is_protected(scope):
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        name = self._name(given[0]) if len(given) == 1 and _is_bearer(given[0]) else None
        if name is None:
            await self._refusal(scope, given)(scope, receive, send)
            return
        context.use_caller(name)
        await self._app(scope, receive, send)

    def _name(self, header: bytes) -> str | None:
        token = header[len(SCHEME) :].strip()
        return None if len(token) > MAX_TOKEN_BYTES else self._clients.name_of(token.decode("ascii", "surrogateescape"))

    def _refusal(self, scope: Scope, given: list[bytes]) -> ProblemResponse:
        if len(given) > 1:
            return ProblemResponse(400, "There must be one Authorization header only.")
        if not given or not _is_bearer(given[0]):
            return ProblemResponse(401, MISSING, {"WWW-Authenticate": 'Bearer realm="pidea"'})
        client = scope.get("client")
        wait_seconds = self._failures.wait_seconds(str(client[0]) if client else "")
        if wait_seconds:
            self._emit(RequestShed("authentication"))
            return too_many(self._failures, wait_seconds, "Too many wrong tokens came from this address.")
        return ProblemResponse(401, WRONG, {"WWW-Authenticate": 'Bearer realm="pidea", error="invalid_token"'})


def _is_bearer(header: bytes) -> bool:
    return header[: len(SCHEME)].lower() == SCHEME


def _is_protected(scope: Scope) -> bool:
    path = str(scope["path"])
    # A preflight carries no token by its definition; it only asks what would be allowed.
    return (path == "/api" or path.startswith("/api/")) and path not in OPEN_PATHS and scope["method"] != "OPTIONS"
