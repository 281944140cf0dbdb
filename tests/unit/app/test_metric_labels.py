"""However many users, chats and paths there are: the application has as many time series as before."""

from __future__ import annotations

import uuid

import pytest

from app.events import FeedbackGiven, ReadServed, RequestFinished, RequestShed, RequestStarted, TierLookedUp
from app.telemetry.metrics import Metrics

# What has as many values as there are users or things. A route is a template that stands for all of its paths.
UNBOUNDED = {
    *("chat_id", "message_id", "id", "user", "caller", "client", "path", "url", "query", "trace_id", "span_id"),
    *("request_id", "session", "ip", "address", "token", "key", "email", "error", "exception"),
}
# 14 buckets, sum and count of a request's duration, the count of it, and that of errors.
MOST_SERIES_OF_A_REQUEST = 18


def metrics() -> Metrics:
    return Metrics("1", "r", apdex_threshold_seconds=0.1)


def user(number: int) -> list[object]:
    """What one more user does."""
    path = f"/api/chats/{uuid.UUID(int=number)}/messages"
    return [
        RequestStarted(),
        RequestFinished(
            method="GET",
            path=path,
            route="/api/chats/{chat_id}/messages",
            status=200,
            duration_seconds=(number % 60) / 100,
            client=f"10.0.{number // 250}.{number % 250}",
            caller=f"user-{number}",
            variant="default",
            cache="l2",
            is_user_traffic=True,
        ),
        RequestShed("overload"),
        ReadServed("l2", shared=False, stale=False),
        TierLookedUp("l2", hit=True, duration_seconds=0.001),
        FeedbackGiven(1 + number % 5),
    ]


def series_after(users: int) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    found = metrics()
    for number in range(users):
        for event in user(number):
            found.on_event(event)  # type: ignore[arg-type]
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in found.registry.collect()
        for sample in family.samples
    }


def test_a_thousand_users_have_as_many_series_as_sixty() -> None:
    assert series_after(1000) == series_after(60)


def test_no_label_has_a_value_for_each_user_or_thing() -> None:
    labels = {label for _, pairs in series_after(10) for label, _ in pairs}
    assert labels & UNBOUNDED == set()
    assert {"route", "status", "variant", "source"} <= labels


@pytest.mark.parametrize("path", ["/", "/admin.php", "/api/chats/../../etc/passwd"])
def test_what_is_no_route_is_one_series(path: str) -> None:
    from dataclasses import replace

    one = next(event for event in user(1) if isinstance(event, RequestFinished))
    found = metrics()
    before = sum(len(family.samples) for family in found.registry.collect())
    for number in range(20):
        found.on_event(RequestStarted())
        found.on_event(replace(one, path=f"{path}{number}", route="unmatched", status=404, cache=None))
    after = sum(len(family.samples) for family in found.registry.collect())
    assert after - before <= MOST_SERIES_OF_A_REQUEST + 1
