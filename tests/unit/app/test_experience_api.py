"""Feedback and web vitals over HTTP, with a store that notes what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from app import context
from app.api import experience
from app.chats.store import ChatStore
from app.context import Variant
from app.errors import CallFailedError
from app.events import Event, FeedbackGiven, WebVitalReported
from app.web import problems


class Store:
    """The part of a ChatStore that is used here; `error` is raised instead of storing."""

    def __init__(self) -> None:
        self.feedback: list[tuple[str, int, str, UUID | None]] = []
        self.vitals: list[tuple[str, str, dict[str, float], str]] = []
        self.error: Exception | None = None

    async def add_feedback(self, owner: str, score: int, comment: str, chat_id: UUID | None) -> None:
        if self.error:
            raise self.error
        self.feedback.append((owner, score, comment, chat_id))

    async def add_web_vitals(self, owner: str, page: str, values: Mapping[str, float], variant: str) -> None:
        if self.error:
            raise self.error
        self.vitals.append((owner, page, dict(values), variant))


class Rig:
    """The routes for the caller `web` in the variant `plain`."""

    def __init__(self) -> None:
        self.store = Store()
        self.events: list[Event] = []
        self.app = FastAPI()
        self.app.include_router(experience.router(cast(ChatStore, self.store), self.events.append))
        problems.install(self.app)

    def post(self, path: str, body: Any = None, *, content: bytes | None = None) -> httpx.Response:
        async def run() -> httpx.Response:
            context.use_caller("web")
            context.use_variant(Variant("plain"))
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
                if content is None:
                    return await http.post(path, json=body)
                return await http.post(path, content=content, headers={"Content-Type": "application/json"})

        return asyncio.run(run())

    def untouched(self) -> bool:
        return not (self.events or self.store.feedback or self.store.vitals)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_feedback_is_stored_for_its_caller_and_reported(rig: Rig) -> None:
    chat_id = uuid4()
    answer = rig.post("/api/feedback", {"score": 4, "comment": "Grüße\n👍", "chat_id": str(chat_id)})
    assert answer.status_code == 201
    assert answer.json() == {"score": 4, "comment": "Grüße\n👍", "chat_id": str(chat_id)}
    assert rig.store.feedback == [("web", 4, "Grüße\n👍", chat_id)]
    assert rig.events == [FeedbackGiven(4)]


def test_a_score_is_enough(rig: Rig) -> None:
    assert rig.post("/api/feedback", {"score": 1}).status_code == 201
    assert rig.store.feedback == [("web", 1, "", None)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"score": 0},
        {"score": 6},
        {"score": "5"},
        {"score": True},
        {"score": 4.5},
        {"score": 5, "comment": "x" * 2001},
        {"score": 5, "comment": "a\x00b"},
        {"score": 5, "chat_id": "no uuid"},
        {"score": 5, "more": 1},
    ],
)
def test_feedback_of_another_form_is_refused(rig: Rig, body: dict[str, Any]) -> None:
    assert rig.post("/api/feedback", body).status_code == 422
    assert rig.untouched()


def test_half_of_a_surrogate_pair_is_refused(rig: Rig) -> None:
    assert rig.post("/api/feedback", content=rb'{"score": 5, "comment": "\ud800"}').status_code == 422
    assert rig.untouched()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=2000))
@settings(max_examples=30, deadline=None)
def test_every_other_comment_is_kept_as_it_is(comment: str) -> None:
    rig = Rig()
    assert rig.post("/api/feedback", {"score": 3, "comment": comment}).status_code == 201
    assert rig.store.feedback == [("web", 3, comment, None)]


def test_web_vitals_are_stored_as_sent_and_reported_in_seconds(rig: Rig) -> None:
    values = {"lcp_ms": 850.5, "inp_ms": 40, "fcp_ms": 0, "ttfb_ms": 12.5, "cls": 0.02}
    answer = rig.post("/api/ux", {"page": "/chats/%C3%A4", **values})
    assert (answer.status_code, answer.content) == (204, b"")
    assert rig.store.vitals == [("web", "/chats/%C3%A4", values, "plain")]
    assert rig.events == [
        WebVitalReported("lcp", 0.8505),
        WebVitalReported("inp", 0.04),
        WebVitalReported("fcp", 0.0),
        WebVitalReported("ttfb", 0.0125),
        WebVitalReported("cls", 0.02),
    ]


def test_only_what_was_measured_is_stored(rig: Rig) -> None:
    assert rig.post("/api/ux", {"page": "/", "cls": 0, "lcp_ms": None}).status_code == 204
    assert rig.store.vitals == [("web", "/", {"cls": 0}, "plain")]
    assert rig.events == [WebVitalReported("cls", 0)]


@pytest.mark.parametrize(
    "body",
    [
        {"page": "/"},
        {"lcp_ms": 1},
        {"page": "/", "lcp_ms": None},
        {"page": "/", "lcp_ms": -1},
        {"page": "/", "lcp_ms": 600_001},
        {"page": "/", "cls": -0.1},
        {"page": "/", "cls": 101},
        {"page": "/", "cls": "1"},
        {"page": "/", "cls": True},
        {"page": "/", "fid_ms": 1},
        {"page": "", "cls": 1},
        {"page": "chats", "cls": 1},
        {"page": "/?q=private", "cls": 1},
        {"page": "/#private", "cls": 1},
        {"page": "/a b", "cls": 1},
        {"page": "/a\n", "cls": 1},
        {"page": "/" + "x" * 200, "cls": 1},
    ],
)
def test_web_vitals_of_another_form_are_refused(rig: Rig, body: dict[str, Any]) -> None:
    assert rig.post("/api/ux", body).status_code == 422
    assert rig.untouched()


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_what_is_no_number_is_refused(rig: Rig, number: bytes) -> None:
    assert rig.post("/api/ux", content=b'{"page": "/", "cls": ' + number + b"}").status_code == 422
    assert rig.untouched()


@pytest.mark.parametrize(("path", "body"), [("/api/feedback", {"score": 5}), ("/api/ux", {"page": "/", "cls": 0.1})])
def test_nothing_is_reported_that_could_not_be_stored(rig: Rig, path: str, body: dict[str, Any]) -> None:
    rig.store.error = CallFailedError("postgres", "PostgreSQL is away.")
    answer = rig.post(path, body)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert rig.untouched()


def test_the_description_has_examples_that_are_accepted(rig: Rig) -> None:
    schemas = rig.app.openapi()["components"]["schemas"]
    for example in schemas["Feedback"]["examples"]:
        assert rig.post("/api/feedback", example).status_code == 201
    for example in schemas["WebVitals"]["examples"]:
        assert rig.post("/api/ux", example).status_code == 204
