"""The status page for people, and the figures behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from app.status import page

FOLDER = Path(page.__file__).parent
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
FRESH = {**SECURITY, "Cache-Control": "no-store"}


def router(report: Callable[[], dict[str, Any]]) -> APIRouter:
    """Routes /status, /status.css, /status.js and /api/status; `report` makes what app.status.page.make_report does."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/status", include_in_schema=False)
    async def show() -> HTMLResponse:
        """The page, complete without JavaScript."""
        return HTMLResponse(page.render(report()), headers=FRESH)

    @routes.get("/api/status", summary="Figures of the status page", operation_id="readStatus")
    async def figures() -> JSONResponse:
        """Always 200: it says how the service is, and an orchestrator asks /api/health instead."""
        return JSONResponse(report(), headers=FRESH)

    for name, media_type in (("status.css", "text/css"), ("status.js", "text/javascript")):
        asset = _Asset(FOLDER / name, media_type)
        routes.add_api_route(f"/{name}", asset.serve, methods=["GET"], include_in_schema=False, response_model=None)
    return routes


class _Asset:
    """A file that browsers keep, and ask about before they use it again: a release may have changed it."""

    def __init__(self, path: Path, media_type: str) -> None:
        self._content = path.read_bytes()
        self._media_type = media_type
        self._etag = f'"{hashlib.sha256(self._content).hexdigest()[:32]}"'

    async def serve(self, request: Request) -> Response:
        headers = {**SECURITY, "Cache-Control": "no-cache", "ETag": self._etag}
        # A proxy that compresses on the way makes the validator a weak one.
        known = request.headers.get("if-none-match", "").replace("W/", "")
        if self._etag in (tag.strip() for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(self._content, media_type=self._media_type, headers=headers)
