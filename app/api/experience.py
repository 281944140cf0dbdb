"""Feedback of users, and web vitals of their browsers.

A browser sends web vitals when the user leaves the page. It must use `fetch(url, {method: "POST", keepalive: true,
headers: {Authorization: "Bearer …", "Content-Type": "application/json"}, body})`, which outlives the page as
`navigator.sendBeacon` does; a beacon cannot carry the token and is answered with 401.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.chats.store import ChatStore
from app.context import caller, variant
from app.events import FeedbackGiven, Listener, WebVitalReported
from app.experience.feedback import Feedback, WebVitals
from app.web.problems import responses

ERRORS = responses(400, 401, 409, 413, 422, 429, 503, 504)


def router(store: ChatStore, emit: Listener) -> APIRouter:
    """Routes POST /api/feedback and POST /api/ux."""
    routes = APIRouter(prefix="/api", tags=["experience"])

    @routes.post(
        "/feedback", status_code=201, summary="Rate the service", operation_id="giveFeedback", responses=ERRORS
    )
    async def give_feedback(feedback: Feedback) -> Feedback:
        """Store a rating; the answer is what was stored."""
        await store.add_feedback(caller(), feedback.score, feedback.comment, feedback.chat_id)
        emit(FeedbackGiven(feedback.score))
        return feedback

    @routes.post(
        "/ux",
        status_code=204,
        response_class=Response,
        summary="Report web vitals",
        operation_id="reportWebVitals",
        responses=ERRORS,
    )
    async def report_web_vitals(vitals: WebVitals) -> None:
        """Store what a browser measured on one page. Send it with `fetch` and `keepalive`, not as a beacon."""
        values = vitals.values()
        await store.add_web_vitals(caller(), vitals.page, values, variant().name)
        for name, value in values.items():
            emit(_event(name, value))

    return routes


def _event(name: str, value: float) -> WebVitalReported:
    if name.endswith("_ms"):
        return WebVitalReported(name.removesuffix("_ms"), value / 1000)
    return WebVitalReported(name, value)
