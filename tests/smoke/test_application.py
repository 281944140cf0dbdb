"""The application, end to end through the edge."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

import pytest
import requests

from infra import names
from ops.stack import logs, swarm
from tests.stack import containers
from tests.stack.endpoints import TIMEOUT_SECONDS, Endpoints
from tests.stack.instance import Instance
from tests.stack.waiting import wait_until

ROUTE = "/api/chats/{chat_id}/messages"
# After Redis was away, the application does without it for a minute.
BREAKER_SECONDS = 120


@pytest.fixture
def endpoints(stack: Instance) -> Endpoints:
    """The ways in."""
    return Endpoints(stack.outputs())


def test_what_is_written_is_read(endpoints: Endpoints) -> None:
    url = endpoints.messages()
    first = endpoints.write(url, "Grüße, 世界 👋")
    second = endpoints.write(url, "and an answer", role="assistant")
    page = endpoints.api("GET", url).json()
    assert page == {"messages": [first, second], "next_cursor": None}
    assert [message["content"] for message in page["messages"]] == ["Grüße, 世界 👋", "and an answer"]


def test_pages_lead_to_the_beginning(endpoints: Endpoints) -> None:
    url = endpoints.messages()
    for number in range(5):
        endpoints.write(url, f"message {number}")
    read: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        parameters = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = endpoints.api("GET", url, params=parameters).json()
        read[:0] = [message["content"] for message in page["messages"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert read == [f"message {number}" for number in range(5)]


def test_the_second_read_comes_from_the_cache(endpoints: Endpoints) -> None:
    url = endpoints.messages()
    endpoints.write(url, "cached")

    def shared() -> bool:
        answer = endpoints.api("GET", url)
        assert [message["content"] for message in answer.json()["messages"]] == ["cached"]
        return answer.headers["X-Cache"] == "l2"

    wait_until(shared, "a read comes from Redis", timeout_seconds=BREAKER_SECONDS)


def test_every_replica_hears_of_a_write(endpoints: Endpoints) -> None:
    url = endpoints.messages()
    for number in range(5):
        endpoints.write(url, f"message {number}")
        expected = [f"message {n}" for n in range(number + 1)]
        # So many that both replicas answer, each from its own first tier if it still has the old page.
        wait_until(
            lambda expected=expected: all(endpoints.contents(url) == expected for _ in range(6)),  # type: ignore[misc]
            "no replica answers with an old page",
            timeout_seconds=2.0,
            pause_seconds=0.01,
        )


def test_nobody_gets_in_without_a_token(endpoints: Endpoints) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic cGlkZWE6cGlkZWE="}):
        answer = requests.get(f"{endpoints.app}/api/chats", headers=headers, timeout=TIMEOUT_SECONDS)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_status_page_needs_no_token(endpoints: Endpoints) -> None:
    answer = requests.get(f"{endpoints.app}/status", timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200
    assert "<h1>PIDEA status</h1>" in answer.text


def test_the_last_resort_is_kept_on_a_volume(stack: Instance) -> None:
    for replica in containers.of(stack, names.APP):
        kept = replica.inside.check_output("ls -l /var/lib/pidea/cache")
        assert "l3-v1.sqlite" in kept
        assert replica.inside.run("touch /opt/pidea/x").rc != 0, "the root can be written to"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/chats/not-a-uuid/messages", None, 422),
        ("POST", "/api/chats/4a9f1a90-0000-4000-8000-000000000000/messages", {"role": "king", "content": "x"}, 422),
        ("POST", "/api/chats/4a9f1a90-0000-4000-8000-000000000000/messages", {"role": "user", "content": ""}, 422),
        ("GET", "/api/nothing", None, 404),
        ("DELETE", "/api/chats/4a9f1a90-0000-4000-8000-000000000000/messages", None, 405),
    ],
)
def test_errors_are_problem_documents(
    endpoints: Endpoints, method: str, path: str, body: dict[str, str] | None, status: int
) -> None:
    answer = endpoints.api(method, f"{endpoints.app}{path}", json=body)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert len(problem["trace_id"]) == 32


def test_health_report_is_complete(endpoints: Endpoints) -> None:
    def well() -> dict[str, Any]:
        answer = requests.get(f"{endpoints.app}/api/health", timeout=TIMEOUT_SECONDS)
        states = {service["status"] for service in answer.json()["services"].values()}
        return dict(answer.json()) if answer.status_code == 200 and states == {"up"} else {}

    report = wait_until(well, "the application finds everything up", timeout_seconds=BREAKER_SECONDS)
    assert report["status"] == "up"
    assert set(report) == {"status", "timestamp", "services", "performance"}
    # What clients were promised; PostgreSQL came with chat history.
    assert set(report["services"]) == {
        "redis",
        "prometheus",
        "jaeger",
        "cache",
        "deduplication",
        "circuitBreaker",
        "postgres",
    }
    assert set(report["performance"]) == {"cacheHitRate", "averageResponseTime", "duplicateRequests"}


def test_a_trace_goes_through_to_jaeger_and_the_logs(endpoints: Endpoints, stack: Instance) -> None:
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    endpoints.write(endpoints.messages(), "follow me", traceparent=f"00-{trace}-{parent}-01")

    def found() -> list[dict[str, Any]]:
        answer = requests.get(
            f"{endpoints.operators}/jaeger/api/traces/{trace}", auth=endpoints.login, timeout=TIMEOUT_SECONDS
        )
        return list(answer.json()["data"]) if answer.status_code == 200 else []

    spans = wait_until(found, f"Jaeger has trace {trace}")[0]["spans"]
    assert {span["operationName"] for span in spans} >= {f"POST {ROUTE}", "write chats"}
    assert parent in {ref["spanID"] for span in spans for ref in span["references"]}
    entry = wait_until(lambda: _log_entry(stack, trace), f"the logs tell of trace {trace}")
    assert (entry["method"], entry["status"], entry["route"]) == ("POST", 201, ROUTE)


def test_every_replica_serves_and_counts(endpoints: Endpoints, stack: Instance) -> None:
    replicas = containers.of(stack, names.APP)
    before = [_served(container) for container in replicas]
    url = endpoints.messages()
    endpoints.write(url, "hello")
    for _ in range(20):
        endpoints.contents(url)  # a connection of its own each
    served = [_served(container) - past for container, past in zip(replicas, before, strict=True)]
    assert sum(served) == 21
    assert all(served), "a replica got nothing to do"


def test_requests_are_counted_in_prometheus(endpoints: Endpoints) -> None:
    query = f'sum(pidea_http_requests_total{{route="{ROUTE}",method="POST",status="201"}})'

    def total() -> float:
        result = endpoints.prometheus("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else 0.0

    before = total()
    endpoints.write(endpoints.messages(), "count me")
    wait_until(lambda: total() > before, "Prometheus counts one more", timeout_seconds=90)


def _served(container: containers.Container) -> int:
    metrics = container.fetch(names.APP_PORT, "/metrics")
    counted = re.findall(rf'^pidea_http_requests_total{{.*route="{re.escape(ROUTE)}".*}} ([\d.]+)', metrics, re.M)
    return int(sum(map(float, counted)))


def _log_entry(stack: Instance, trace: str) -> dict[str, Any]:
    with swarm.client() as api:
        lines = list(logs.lines(api, stack.prefix, names.APP, follow=False, tail=1000))
    found = [line.partition(" | ")[2] for line in lines if trace in line and '"app.access"' in line]
    return dict(json.loads(found[0])) if found else {}
