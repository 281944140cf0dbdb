"""Problem documents, the body limit and the last resort, on a small application without dependencies."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from starlette.middleware import Middleware

from app.errors import CallFailedError
from app.events import Event, RequestFinished, RequestStarted
from app.web import problems
from app.web.body_limit import MAX_BODY_BYTES, BodyLimit
from app.web.drain import Drain
from app.web.observe import Observe


def ask(method: str, path: str, events: list[Event], **options: bytes) -> httpx.Response:
    """One request to an application whose routes fail in every foreseen way."""
    app = FastAPI(middleware=[Middleware(Observe, emit=events.append, drain=Drain()), Middleware(BodyLimit)])
    problems.install(app)

    @app.get("/number/{number}")
    async def number(number: int) -> int:
        return number

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", {"X-Pot": "yes"})

    @app.get("/database")
    async def database() -> None:
        raise CallFailedError("postgres", "PostgreSQL at 10.0.0.1 did not answer")

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("a private detail")

    @app.post("/length")
    async def length(body: dict[str, str]) -> int:
        return len(body)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"content-type": "application/json"}
            return await client.request(method, path, content=options.get("body"), headers=headers)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nowhere", 404, "Not Found"),
        ("DELETE", "/teapot", 405, "Method Not Allowed"),
        ("GET", "/teapot", 418, "short and stout"),
        ("GET", "/number/x", 422, "The request does not have the form that this operation takes."),
        ("GET", "/database", 503, "The service cannot do this now; try again."),
        ("GET", "/bug", 500, "Something went wrong in the service; it has been logged."),
    ],
)
def test_document(method: str, path: str, status: int, detail: str, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []
    with caplog.at_level(logging.CRITICAL + 1):
        answer = ask(method, path, events)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    expected = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    assert expected.items() <= answer.json().items()
    assert isinstance(events[0], RequestStarted)
    assert isinstance(events[1], RequestFinished)
    assert (events[1].status, len(events)) == (status, 2)


def test_headers_are_kept() -> None:
    assert ask("GET", "/teapot", []).headers["x-pot"] == "yes"
    assert 1 <= int(ask("GET", "/database", []).headers["retry-after"]) <= 3


def test_the_wrong_field_is_named_without_its_value() -> None:
    answer = ask("GET", "/number/private", [])
    assert [error["pointer"] for error in answer.json()["errors"]] == ["path/number"]
    assert "private" not in answer.text


def test_an_unexpected_error_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    answer = ask("GET", "/bug", [])
    assert "private" not in answer.text
    assert "a private detail" in caplog.text


def test_body_limit() -> None:
    filling = b'{"a": "' + b"x" * (MAX_BODY_BYTES - 9) + b'"}'
    assert ask("POST", "/length", [], body=filling).status_code == 200
    answer = ask("POST", "/length", [], body=filling + b" ")
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
