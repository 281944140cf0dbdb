"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry import trace
from starlette.exceptions import HTTPException

from app.errors import DatabaseUnavailableError

RETRY_AFTER_SECONDS = 2


class ProblemResponse(JSONResponse):
    """`application/problem+json` with type, title, status, detail, and the trace id to quote to support."""

    media_type = "application/problem+json"

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, **extensions: object) -> None:
        problem: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            **extensions,
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            problem["trace_id"] = trace.format_trace_id(context.trace_id)
        super().__init__(problem, status_code=status, headers=headers)


def _http_error(_: Request, error: Exception) -> ProblemResponse:
    error = cast(HTTPException, error)
    return ProblemResponse(error.status_code, str(error.detail), dict(error.headers or {}))


def _invalid(_: Request, error: Exception) -> ProblemResponse:
    # Where and why, never the input itself: it may be long or private.
    errors = [
        {"pointer": "/".join(map(str, item["loc"])), "detail": item["msg"]}
        for item in cast(RequestValidationError, error).errors()
    ]
    return ProblemResponse(422, "The request does not have the form that this operation takes.", errors=errors)


def _database_unavailable(_: Request, __: Exception) -> ProblemResponse:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return ProblemResponse(503, "The database is not available now; try again.", headers)


def install(app: FastAPI) -> None:
    """Answer every error that the application can foresee with a problem document."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DatabaseUnavailableError, _database_unavailable)
