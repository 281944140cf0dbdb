"""Start, migration by several replicas, drain, exit codes."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.storage import migrations
from app.storage.migrations import LOCK_KEY
from tests.app.conftest import Workbench
from tests.app.servers import Postgres, eventually, free_port, listens

pytestmark = pytest.mark.app

VERSIONS = ",".join(str(migration.version) for migration in migrations.load())


def test_replicas_that_start_together_migrate_once(bench: Workbench, postgres: Postgres) -> None:
    # Both are held at the lock, so that they really compete.
    holder = postgres.hold(f"SELECT pg_advisory_xact_lock({LOCK_KEY})", bench.database)
    replicas = [bench.start() for _ in range(2)]
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    waiting += " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    eventually(lambda: postgres.sql(waiting, bench.database) == "2", "both replicas wait for the lock")
    assert not any(listens(replica.port) for replica in replicas), "must not listen before the schema is there"
    holder.communicate("COMMIT;\n", timeout=30)

    for replica in replicas:
        replica.wait_until_ready()
    applied = postgres.sql(
        "SELECT string_agg(version::text, ',' ORDER BY version) FROM schema_migrations", bench.database
    )
    assert applied == VERSIONS

    def announced() -> int:
        return sum("schema migrated" in line["message"] for replica in replicas for line in replica.log_lines())

    # Log lines are written in batches, a moment later.
    eventually(announced, "a replica says that it has migrated")
    assert announced() == 1
    path = replicas[0].new_chat()
    replicas[0].client.post(path, json={"role": "user", "content": "one"})
    assert len(replicas[1].client.get(path).json()["messages"]) == 1


def test_a_changed_migration_stops_the_start(bench: Workbench, postgres: Postgres) -> None:
    first = bench.ready()
    first.terminate()
    assert first.wait() == 0
    postgres.sql("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1", bench.database)
    second = bench.start()
    assert second.wait() == 1
    assert "0001_messages was edited" in second.log_lines()[-1]["message"]


def test_sigterm_drains_and_finishes_the_request_in_flight(bench: Workbench, postgres: Postgres) -> None:
    backend = bench.ready(DRAIN_SECONDS="2")
    path = backend.new_chat()
    assert backend.client.post(path, json={"role": "user", "content": "one"}).status_code == 201
    holder = postgres.hold("SELECT * FROM chats FOR UPDATE", bench.database)
    with ThreadPoolExecutor() as pool:
        in_flight = pool.submit(backend.client.post, path, json={"role": "user", "content": "two"})
        eventually(lambda: backend.metric("pidea_http_requests_in_flight") >= 2, "the append is in flight")
        backend.terminate()

        not_ready = eventually(
            lambda: (answer := backend.client.get("/api/health/ready")).status_code == 503 and answer,
            "the backend says that it is not ready",
        )
        assert not_ready.headers["connection"] == "close"
        assert not_ready.headers["content-type"] == "application/problem+json"
        served = backend.client.get(path)
        assert (served.status_code, served.headers["connection"]) == (200, "close")

        eventually(lambda: not listens(backend.port), "the backend takes no more connections")
        assert not in_flight.done()
        holder.communicate("COMMIT;\n", timeout=30)
        assert in_flight.result(30).status_code == 201
    assert backend.wait() == 0
    assert backend.log_lines()[-1]["message"] == "stopped"
    assert postgres.sql("SELECT count(*) FROM messages", bench.database) == "2"


def test_a_request_that_is_not_done_when_the_time_is_over_is_left_to_another_replica(bench: Workbench) -> None:
    """An edge asks the next replica where it gets no byte of an answer; a 500 it would hand on."""
    backend = bench.ready(DRAIN_SECONDS="0")
    path = backend.new_chat()
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: {backend.client.headers['Authorization']}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", backend.port), timeout=30) as client:
        client.sendall(head.encode())
        eventually(lambda: backend.metric("pidea_http_requests_in_flight") >= 2, "the append is in flight")
        backend.terminate()
        assert client.recv(1000) == b""
    assert backend.wait() == 0
    assert "1 requests are left to other replicas" in [line["message"] for line in backend.log_lines()]


def test_a_second_signal_skips_the_wait(bench: Workbench) -> None:
    backend = bench.ready(DRAIN_SECONDS="300")
    backend.terminate()
    eventually(lambda: backend.client.get("/api/health/ready").status_code == 503, "the drain has begun")
    backend.terminate()
    assert backend.wait() == 0


def test_without_postgres_the_start_fails_with_one_clear_line(bench: Workbench) -> None:
    port = free_port()
    backend = bench.start(DATABASE_PORT=str(port), DATABASE_STARTUP_SECONDS="1")
    assert backend.wait() == 1
    critical = [line for line in backend.log_lines() if line["level"] == "CRITICAL"]
    assert len(critical) == 1
    assert f"PostgreSQL at 127.0.0.1:{port} did not accept a connection within 1 s" in critical[0]["message"]
    assert not any("exception" in line for line in backend.log_lines())


def test_a_port_in_use_is_one_clear_line(bench: Workbench) -> None:
    first = bench.ready()
    second = bench.start(PORT=str(first.port))
    assert second.wait() == 1
    assert "Address already in use" in str(second.log_lines())
    assert not any("exception" in line for line in second.log_lines())


def test_wrong_settings_are_all_named(bench: Workbench) -> None:
    backend = bench.start(DATABASE_PORT="x", TRACE_SAMPLING_RATIO="2", REDIS_PASSWORD_FILE="/nonexistent/file")
    assert backend.wait() == 2
    assert [line["message"].split(":")[1].strip() for line in backend.log_lines()] == [
        "REDIS_PASSWORD_FILE",
        "DATABASE_PORT",
        "TRACE_SAMPLING_RATIO",
    ]
