"""The ASGI application: routes, problem documents, middleware."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware

from app.api import chats, operations
from app.services import Services
from app.web import problems
from app.web.body_limit import BodyLimit
from app.web.observe import Observe, is_housekeeping


def create_app(services: Services, version: str) -> FastAPI:
    """Build the application over services that are open already."""
    app = FastAPI(
        title="PIDEA backend",
        version=version,
        openapi_url="/api/openapi.json",
        # The built-in documentation pages load scripts from third-party hosts.
        docs_url=None,
        redoc_url=None,
        # FastAPI's own server span, and nothing else of its telemetry: metrics and logs are ours.
        telemetry={
            "tracing": True,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
            "exclude": is_housekeeping,
        },
        middleware=[Middleware(Observe, emit=services.emit, drain=services.drain), Middleware(BodyLimit)],
    )
    app.include_router(chats.router(services.history))
    app.include_router(operations.router(services.health, services.metrics))
    problems.install(app)
    return app
