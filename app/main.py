"""The ASGI application: routes, problem documents, middleware."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from app.api import chats, experience, operations, search, status
from app.api.hot_reads import HotReads
from app.services import Services
from app.settings import Settings
from app.telemetry.metrics import expose
from app.web import openapi, problems
from app.web.admission import Admission
from app.web.authenticate import Authenticate
from app.web.body_limit import BodyLimit
from app.web.deadline import Deadline
from app.web.experiment import AssignVariant
from app.web.observe import Observe
from app.web.rate_limit import RateLimit
from app.web.trace import Trace

DESCRIPTION = "Chat histories of PIDEA. Every error is a problem document (RFC 9457)."
REQUEST_HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "X-Client-Id", "X-Request-Timeout-Ms"]
RESPONSE_HEADERS = [
    "Location",
    "Retry-After",
    "X-Cache",
    "X-Variant",
    "Idempotency-Replayed",
    "Age",
    "Warning",
    "ETag",
    "X-Trace-Id",
]


def create_app(services: Services, settings: Settings) -> FastAPI:
    """Build the application over services that are open already."""
    emit = services.emit
    app = FastAPI(
        title="PIDEA backend",
        description=DESCRIPTION,
        version=settings.version,
        openapi_url="/api/openapi.json",
        # The built-in documentation pages load scripts from third-party hosts.
        docs_url=None,
        redoc_url=None,
        # Its own would make a span of every request, also of those that are not recorded.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        # The outermost first. What costs least and refuses most comes early; who asks comes before what they get.
        middleware=[
            *_trace(settings),
            Middleware(Observe, emit=emit, drain=services.drain),
            Middleware(
                Admission,
                emit=emit,
                max_in_flight=settings.max_requests_in_flight,
                lag_seconds=lambda: services.lag.recent_seconds,
            ),
            *_cors(settings.cors_allowed_origins),
            Middleware(Authenticate, emit=emit, clients=settings.clients),
            Middleware(AssignVariant, experiment=settings.experiment),
            Middleware(RateLimit, emit=emit, per_second=settings.rate_limit_per_second),
            Middleware(Deadline, default_seconds=settings.request_timeout_seconds),
            Middleware(BodyLimit),
            Middleware(HotReads, history=services.history),
        ],
    )
    app.include_router(chats.router(services.history))
    app.include_router(search.router(services.history))
    app.include_router(experience.router(services.store, emit))
    app.include_router(operations.router(services.health, partial(expose, services.metrics), services.worker))
    app.include_router(status.router(services.status))
    problems.install(app)
    openapi.install(app)
    return app


def _trace(settings: Settings) -> list[Middleware]:
    if not settings.telemetry_enabled:
        return []
    recorded = settings.otel_exporter_otlp_endpoint is not None
    ratio = settings.trace_sampling_ratio if recorded else 0.0
    return [Middleware(Trace, sampling_ratio=ratio, max_per_second=settings.trace_max_per_second)]


def _cors(origins: tuple[str, ...]) -> list[Middleware]:
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
            max_age=600,
        )
    ]
