"""Redis and PostgreSQL stopped, paused and back, under a running backend."""

from __future__ import annotations

import signal
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.app.conftest import Workbench
from tests.app.servers import Backend, Postgres, RedisServer, eventually, free_port

pytestmark = pytest.mark.app

BREAKER = 'pidea_circuit_breaker_state{dependency="redis"}'


def contents(backend: Backend, path: str) -> tuple[str, list[str]]:
    """X-Cache and the messages' contents; a read that fails fails the test."""
    answer = backend.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-cache"], [message["content"] for message in answer.json()["messages"]]


def test_redis_killed_and_back(bench: Workbench, redis_server: RedisServer) -> None:
    backend = bench.ready()
    path = f"/api/chats/{uuid4()}/messages"
    backend.client.post(path, json={"role": "user", "content": "before"})
    eventually(lambda: contents(backend, path) == ("hit", ["before"]), "the page is in Redis")

    redis_server.stop()
    for _ in range(6):
        assert contents(backend, path) == ("bypass", ["before"])
    assert backend.client.post(path, json={"role": "user", "content": "meanwhile"}).status_code == 201
    assert contents(backend, path) == ("bypass", ["before", "meanwhile"])
    assert backend.metric("pidea_cache_errors_total") >= 5
    answer = eventually(
        lambda: (
            (answer := backend.client.get("/api/health")).json()["services"]["redis"]["status"] == "down" and answer
        ),
        "the health report shows Redis down",
    )
    report = answer.json()
    assert answer.status_code == 200
    assert (report["status"], report["services"]["cache"]["status"]) == ("degraded", "degraded")
    assert backend.client.get("/api/health/ready").status_code == 200

    redis_server.start()
    eventually(lambda: backend.metric(BREAKER) == 0, "the breaker closes without user traffic")
    eventually(lambda: contents(backend, path) == ("hit", ["before", "meanwhile"]), "the cache is used again")
    eventually(lambda: backend.client.get("/api/health").json()["status"] == "up", "the report is up again")


def test_breaker_opens_and_stays_open(bench: Workbench, redis_server: RedisServer) -> None:
    backend = bench.ready(BREAKER_OPEN_SECONDS="3600")
    path = f"/api/chats/{uuid4()}/messages"
    assert backend.metric(BREAKER) == 0
    redis_server.stop()
    for _ in range(4):
        contents(backend, path)
    assert backend.metric(BREAKER) == 0
    contents(backend, path)
    assert backend.metric(BREAKER) == 2
    errors = backend.metric("pidea_cache_errors_total")
    redis_server.start()
    assert contents(backend, path)[0] == "bypass"
    assert backend.metric("pidea_cache_errors_total") == errors
    health = backend.client.get("/api/health").json()["services"]["circuitBreaker"]
    assert health == {"status": "degraded", "dependencies": {"redis": "open"}}
    assert any(line.get("state") == "open" for line in backend.log_lines())


def test_an_append_while_redis_hangs_is_never_lost_from_view(bench: Workbench, redis_server: RedisServer) -> None:
    # Redis keeps the old page and its token all the while: only the repeated invalidation removes it.
    backend = bench.ready(REDIS_TIMEOUT_SECONDS="0.2")
    path = f"/api/chats/{uuid4()}/messages"
    backend.client.post(path, json={"role": "user", "content": "one"})
    eventually(lambda: contents(backend, path) == ("hit", ["one"]), "the page is in Redis")

    redis_server.process.send_signal(signal.SIGSTOP)
    assert backend.client.post(path, json={"role": "user", "content": "two"}).status_code == 201
    assert contents(backend, path) == ("bypass", ["one", "two"])
    redis_server.process.send_signal(signal.SIGCONT)

    def hit_again() -> bool:
        cache, messages = contents(backend, path)
        assert messages == ["one", "two"]
        return cache == "hit"

    eventually(hit_again, "the page is served from Redis again")


def test_a_backend_starts_without_redis(bench: Workbench) -> None:
    backend = bench.ready(REDIS_PORT=str(free_port()))
    path = f"/api/chats/{uuid4()}/messages"
    backend.client.post(path, json={"role": "user", "content": "one"})
    assert contents(backend, path) == ("bypass", ["one"])


def test_wrong_redis_password_only_costs_the_cache(bench: Workbench) -> None:
    backend = bench.ready(REDIS_USERNAME="nobody")
    assert contents(backend, f"/api/chats/{uuid4()}/messages") == ("bypass", [])
    assert backend.client.get("/api/health").json()["services"]["redis"]["status"] == "down"


def test_postgres_down_and_back(bench_with: Callable[[Postgres], Workbench], own_postgres: Postgres) -> None:
    backend = bench_with(own_postgres).ready()
    path = f"/api/chats/{uuid4()}/messages"
    assert backend.client.get("/api/health").status_code == 200
    own_postgres.stop()
    try:
        answer = backend.client.post(path, json={"role": "user", "content": "lost"})
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) > 0
        eventually(lambda: backend.client.get("/api/health").status_code == 503, "the health report is 503")
        report = backend.client.get("/api/health").json()
        assert (report["status"], report["services"]["postgres"]["status"]) == ("down", "down")
        assert backend.client.get("/api/health/ready").status_code == 503
        assert backend.client.get("/api/health/live").status_code == 200
    finally:
        own_postgres.start()
    eventually(lambda: backend.client.get("/api/health/ready").status_code == 200, "the backend is ready again")
    assert backend.client.post(path, json={"role": "user", "content": "kept"}).status_code == 201
    assert contents(backend, path)[1] == ["kept"]
