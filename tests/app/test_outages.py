"""Redis and PostgreSQL stopped, paused and back, under a running backend."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest

from app.health.askers import SILENCE_SECONDS
from app.storage.patience import PATIENCE_SECONDS
from tests.app.conftest import Workbench
from tests.app.servers import Backend, Postgres, RedisServer, eventually, free_port

pytestmark = pytest.mark.app

BREAKER = 'pidea_circuit_breaker_state{dependency="redis"}'


def contents(backend: Backend, path: str) -> tuple[str, list[str]]:
    """X-Cache and the messages' contents; a read that fails fails the test."""
    answer = backend.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-cache"], [message["content"] for message in answer.json()["messages"]]


def cache_errors(backend: Backend) -> float:
    """Operations in Redis that failed."""
    lines = backend.client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("pidea_cache_errors_total{"))


def test_redis_killed_and_back(bench: Workbench, redis_server: RedisServer) -> None:
    backend = bench.ready()
    path = backend.new_chat()
    backend.client.post(path, json={"role": "user", "content": "before"})
    eventually(lambda: contents(backend, path) == ("l2", ["before"]), "the page is in Redis")

    redis_server.stop()
    for _ in range(6):
        assert contents(backend, path) == ("origin", ["before"])
    assert backend.client.post(path, json={"role": "user", "content": "meanwhile"}).status_code == 201
    assert contents(backend, path) == ("origin", ["before", "meanwhile"])
    # Not one each: a group that was written lately is passed by until its invalidation has been sent again.
    assert cache_errors(backend) >= 1
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
    eventually(lambda: contents(backend, path) == ("l2", ["before", "meanwhile"]), "the cache is used again")
    eventually(lambda: backend.client.get("/api/health").json()["status"] == "up", "the report is up again")


def test_breaker_opens_and_stays_open(bench: Workbench, redis_server: RedisServer) -> None:
    backend = bench.ready(BREAKER_OPEN_SECONDS="3600")
    path = backend.new_chat()
    assert backend.metric(BREAKER) == 0
    redis_server.stop()
    for _ in range(4):
        contents(backend, path)
    assert backend.metric(BREAKER) == 0
    contents(backend, path)
    assert backend.metric(BREAKER) == 2
    errors = cache_errors(backend)
    redis_server.start()
    assert contents(backend, path)[0] == "origin"
    assert cache_errors(backend) == errors
    health = backend.client.get("/api/health").json()["services"]["circuitBreaker"]
    assert health == {"status": "degraded", "dependencies": {"postgres": "closed", "redis": "open"}}
    assert any(line.get("state") == "open" for line in backend.log_lines())


def test_an_append_while_redis_hangs_is_never_lost_from_view(bench: Workbench, redis_server: RedisServer) -> None:
    # Redis keeps the old page and its token all the while: only the repeated invalidation removes it.
    backend = bench.ready(REDIS_TIMEOUT_SECONDS="0.2")
    path = backend.new_chat()
    backend.client.post(path, json={"role": "user", "content": "one"})
    eventually(lambda: contents(backend, path) == ("l2", ["one"]), "the page is in Redis")

    redis_server.process.send_signal(signal.SIGSTOP)
    assert backend.client.post(path, json={"role": "user", "content": "two"}).status_code == 201
    assert contents(backend, path) == ("origin", ["one", "two"])
    redis_server.process.send_signal(signal.SIGCONT)

    def hit_again() -> bool:
        cache, messages = contents(backend, path)
        assert messages == ["one", "two"]
        return cache == "l2"

    eventually(hit_again, "the page is served from Redis again")


def test_a_backend_starts_without_redis(bench: Workbench) -> None:
    backend = bench.ready(REDIS_PORT=str(free_port()))
    path = backend.new_chat()
    backend.client.post(path, json={"role": "user", "content": "one"})
    assert contents(backend, path) == ("origin", ["one"])


def test_wrong_redis_password_only_costs_the_cache(bench: Workbench) -> None:
    backend = bench.ready(REDIS_USERNAME="nobody")
    assert contents(backend, backend.new_chat()) == ("origin", [])
    assert backend.client.get("/api/health").json()["services"]["redis"]["status"] == "down"


def test_without_postgres_only_an_edge_that_asked_all_the_time_keeps_the_replica(
    bench_with: Callable[[Postgres], Workbench], own_postgres: Postgres
) -> None:
    """Edges are known by their addresses: one asks without a pause, the other one was cut off for a while."""
    backend = bench_with(own_postgres).ready()
    with ExitStack() as stack:
        constant, returning = (
            stack.enter_context(httpx.Client(transport=httpx.HTTPTransport(local_address=address)))
            for address in ("127.0.0.2", "127.0.0.3")
        )

        def told(edge: httpx.Client) -> int:
            return edge.get(f"http://127.0.0.1:{backend.port}/api/health/ready").status_code

        assert (told(constant), told(returning)) == (200, 200)
        own_postgres.stop()
        try:

            def both_while_away() -> tuple[int, int] | None:
                answers = told(constant), told(returning)
                return answers if backend.client.get("/api/health").status_code == 503 else None

            answers = eventually(both_while_away, "PostgreSQL is known to be away")
            assert answers == (200, 200), "without a database all replicas are alike"
            silent_until = time.monotonic() + max(SILENCE_SECONDS, PATIENCE_SECONDS) + 0.5
            while time.monotonic() < silent_until:
                assert told(constant) == 200, "the edge would have no replica left"
                time.sleep(0.2)
            assert (told(constant), told(returning)) == (200, 503), "another replica may have a database"
        finally:
            own_postgres.start()
        eventually(lambda: told(returning) == 200, "it is ready for everybody again")


def test_postgres_down_and_back(bench_with: Callable[[Postgres], Workbench], own_postgres: Postgres) -> None:
    # A short L2, so that the test need not wait for L3 to be asked.
    backend = bench_with(own_postgres).ready(L2_TTL_SECONDS="1", BREAKER_OPEN_SECONDS="1")
    known, other = backend.new_chat(), backend.new_chat()
    backend.client.post(known, json={"role": "user", "content": "kept"})
    assert contents(backend, known)[1] == ["kept"]
    assert backend.client.get("/api/health").status_code == 200
    eventually(lambda: backend.metric("pidea_cache_l3_queued") == 0, "the page is on disk")
    own_postgres.stop()
    try:
        answer = backend.client.post(other, json={"role": "user", "content": "lost"})
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) > 0

        def stale() -> httpx.Response | None:
            read = backend.client.get(known)
            assert read.status_code == 200, "what the cache has is served all the time"
            return read if read.headers["x-cache"] == "l3" else None

        last_resort = eventually(stale, "the page comes from the disk")
        assert last_resort.headers["warning"] == '110 - "Response is Stale"'
        assert [message["content"] for message in last_resort.json()["messages"]] == ["kept"]
        assert backend.client.get(other).status_code == 503, "what no tier has cannot be served"

        eventually(lambda: backend.client.get("/api/health").status_code == 503, "the health report is 503")
        report = backend.client.get("/api/health").json()
        assert (report["status"], report["services"]["postgres"]["status"]) == ("down", "down")
        assert backend.client.get("/api/health/live").status_code == 200
    finally:
        own_postgres.start()
    eventually(
        lambda: backend.client.post(other, json={"role": "user", "content": "again"}).status_code == 201,
        "writes work again",
    )
    eventually(lambda: contents(backend, known)[0] in ("origin", "l2"), "reads are fresh again")


def test_writes_that_are_refused_take_nothing_out_of_the_cache(
    bench_with: Callable[[Postgres], Workbench], own_postgres: Postgres
) -> None:
    backend = bench_with(own_postgres).ready(BREAKER_FAILURE_THRESHOLD="1", BREAKER_OPEN_SECONDS="600")
    known, other = backend.new_chat(), backend.new_chat()
    backend.client.post(known, json={"role": "user", "content": "kept"})
    assert contents(backend, known)[1] == ["kept"]
    own_postgres.stop()

    def is_open() -> bool:
        backend.client.post(other, json={"role": "user", "content": "lost"})
        return backend.metric('pidea_circuit_breaker_state{dependency="postgres"}') == 2

    try:
        eventually(is_open, "the breaker is open")
        assert backend.client.post(known, json={"role": "user", "content": "lost"}).status_code == 503
        assert contents(backend, known) == ("l2", ["kept"])
    finally:
        own_postgres.start()


def test_l3_survives_a_restart_of_everything_but_the_disk(
    bench_with: Callable[[Postgres], Workbench], own_postgres: Postgres, redis_server: RedisServer
) -> None:
    bench = bench_with(own_postgres)
    first = bench.ready()
    path = first.new_chat()
    first.client.post(path, json={"role": "user", "content": "kept"})
    assert contents(first, path)[1] == ["kept"]
    second = bench.ready()
    first.terminate()
    assert first.wait() == 0, "what was queued for the disk is written at the end"
    redis_server.stop()
    redis_server.start()
    own_postgres.stop()
    try:
        assert contents(second, path) == ("l3", ["kept"])
    finally:
        own_postgres.start()


def test_a_slow_postgres_is_given_up_in_time(bench: Workbench, postgres: Postgres) -> None:
    backend = bench.ready()
    path = backend.new_chat()
    holder = postgres.hold("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE", bench.database)
    try:
        answer = backend.client.get(path, headers={"x-request-timeout-ms": "300"})
        assert (answer.status_code, answer.json()["status"]) == (504, 504)
        write = backend.client.post(
            path, json={"role": "user", "content": "x"}, headers={"x-request-timeout-ms": "300"}
        )
        assert write.status_code == 504
    finally:
        holder.communicate("COMMIT;\n", timeout=30)
    assert contents(backend, path)[1] == [], "what was given up was not done"
    # The client's hurry says nothing about PostgreSQL.
    assert backend.metric('pidea_circuit_breaker_state{dependency="postgres"}') == 0


def test_flapping_redis_never_fails_a_request(bench: Workbench, redis_server: RedisServer) -> None:
    backend = bench.ready(REDIS_TIMEOUT_SECONDS="0.3", BREAKER_OPEN_SECONDS="0.2")
    path = backend.new_chat()
    expected = []
    for round_number in range(4):
        for number in range(3):
            expected.append(f"{round_number}.{number}")
            written = backend.client.post(path, json={"role": "user", "content": expected[-1]})
            assert written.status_code == 201
            assert contents(backend, path)[1] == expected
        (redis_server.stop if round_number % 2 == 0 else redis_server.start)()
    eventually(lambda: contents(backend, path) == ("l2", expected), "the cache is used again")


def test_flapping_postgres_loses_no_message_and_keeps_serving(
    bench_with: Callable[[Postgres], Workbench], own_postgres: Postgres
) -> None:
    backend = bench_with(own_postgres).ready(BREAKER_OPEN_SECONDS="0.2")
    path = backend.new_chat()
    acknowledged: list[str] = []

    def written(content: str) -> bool:
        status = backend.client.post(path, json={"role": "user", "content": content}).status_code
        assert status in (201, 503), "a refusal says so"
        if status == 201:
            acknowledged.append(content)
        return status == 201

    for number in range(3):
        eventually(lambda number=number: written(f"up {number}"), "writes work")  # type: ignore[misc]
        assert contents(backend, path)[1] == acknowledged
        eventually(lambda: backend.metric("pidea_cache_l3_queued") == 0, "the page is on disk")
        own_postgres.stop()
        try:
            assert not written(f"down {number}")
            assert contents(backend, path)[1] == acknowledged, "what readers had, they keep"
        finally:
            own_postgres.start()
    eventually(lambda: written("last"), "writes work again")
    assert contents(backend, path)[1] == acknowledged
