"""Health and metrics, for the edge, the orchestrator and Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.exposition import choose_encoder

from app.health.report import Health
from app.telemetry.workers import Expose, Worker, gather
from app.web.problems import ProblemResponse, responses


def router(health: Health, expose: Expose, worker: Worker) -> APIRouter:
    """Routes /api/health, /api/health/live, /api/health/ready and /metrics."""
    routes = APIRouter(tags=["operations"])

    @routes.get(
        "/api/health", summary="Full health report", operation_id="readHealth", responses={503: {"description": "Down"}}
    )
    async def report() -> JSONResponse:
        """200 while requests can be served (perhaps degraded), else 503."""
        return JSONResponse(health.report(), 200 if health.can_serve else 503)

    @routes.get("/api/health/live", summary="Is the process alive", operation_id="isAlive")
    async def live() -> JSONResponse:
        """Asks nothing of any dependency."""
        return JSONResponse({"status": "up"})

    @routes.get(
        "/api/health/ready", summary="Should requests come here", operation_id="isReady", responses=responses(503)
    )
    async def ready(request: Request) -> JSONResponse:
        """503 while draining; also for who was silent for three seconds, where the database is away for nine."""
        reason = health.not_ready_because(request.client.host if request.client else "")
        return JSONResponse({"status": "up"}) if reason is None else ProblemResponse(503, reason)

    @routes.get("/metrics", include_in_schema=False)
    async def scrape(request: Request) -> Response:
        """Prometheus' text format, or OpenMetrics when asked for; of all worker processes."""
        accept = request.headers.get("accept", "")
        _, content_type = choose_encoder(accept)
        return Response(await gather(worker, expose, accept), media_type=content_type)

    return routes
