"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

import random
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry import trace
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from app import errors

MEDIA_TYPE = "application/problem+json"
IN_FLIGHT_RETRY_SECONDS = 1


class Problem(BaseModel):
    """What every error looks like (RFC 9457). `trace_id` is what to quote to support."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    trace_id: str | None = None


class ProblemResponse(JSONResponse):
    """`application/problem+json` with type, title, status, detail, and the trace id to quote to support.

    The type is always "about:blank": the status says what is wrong, the detail what to do.
    """

    media_type = MEDIA_TYPE

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


def retry_after() -> dict[str, str]:
    """When to come back: not all at once."""
    return {"Retry-After": str(random.randint(1, 3))}  # noqa: S311 - not a secret


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says about the errors of an operation."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Answer every error that the application can foresee with a problem document."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    for error, (status, detail, headers) in _ANSWERS.items():
        app.add_exception_handler(error, _answer(status, detail, headers))


def _no_headers() -> dict[str, str]:
    return {}


_ANSWERS: dict[type[Exception], tuple[int, str, Callable[[], dict[str, str]]]] = {
    # Which dependency it was is in the logs: clients can do nothing with it, attackers can.
    errors.DependencyUnavailableError: (503, "The service cannot do this now; try again.", retry_after),
    errors.DeadlineExceededError: (504, "The time that the request had was not enough.", _no_headers),
    errors.NotFoundError: (404, "There is no such chat or message.", _no_headers),
    errors.InvalidCursorError: (422, "The cursor was not made by this list; begin again without one.", _no_headers),
    errors.IdempotencyMismatchError: (
        422,
        "This Idempotency-Key was used for another request; use a new key for every new request.",
        _no_headers,
    ),
    errors.IdempotencyInFlightError: (
        409,
        "The first request with this Idempotency-Key is still running; try again.",
        lambda: {"Retry-After": str(IN_FLIGHT_RETRY_SECONDS)},
    ),
}


def answer_to(error: Exception) -> ProblemResponse | None:
    """The answer to an error of app.errors; None for one that nobody foresaw."""
    for kind, (status, detail, headers) in _ANSWERS.items():
        if isinstance(error, kind):
            return ProblemResponse(status, detail, headers())
    return None


def _answer(
    status: int, detail: str, headers: Callable[[], dict[str, str]]
) -> Callable[[Request, Exception], ProblemResponse]:
    def answer(_: Request, __: Exception) -> ProblemResponse:
        return ProblemResponse(status, detail, headers())

    return answer


def _http_error(_: Request, error: Exception) -> ProblemResponse:
    error = cast(HTTPException, error)
    return ProblemResponse(error.status_code, str(error.detail), dict(error.headers or {}))


def _invalid(_: Request, error: Exception) -> ProblemResponse:
    # Where and why, never the input itself: it may be long or private.
    problems = [
        {"pointer": "/".join(map(str, item["loc"])), "detail": item["msg"]}
        for item in cast(RequestValidationError, error).errors()
    ]
    return ProblemResponse(422, "The request does not have the form that this operation takes.", errors=problems)
