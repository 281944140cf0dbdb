"""Several PostgreSQL servers of which one takes writes: the backend finds it, and finds the next one."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import psutil
import pytest
import uvloop

from app.storage.patience import PATIENCE_SECONDS
from app.storage.postgres import STATEMENT_SECONDS
from app.storage.postgres_primary import HEAD_START_SECONDS, UNHEARD_MILLISECONDS, Primary
from tests.app.conftest import Workbench
from tests.app.servers import PASSWORD, POSTGRES_BIN, PSQL, Backend, Postgres, eventually

pytestmark = pytest.mark.app

OPTIONS: dict[str, Any] = {"user": "pidea", "password": PASSWORD, "database": "postgres", "timeout": 2.0}


def take_writes(server: Postgres, yes: bool) -> None:
    """As a standby does it, to every session that begins from now on; those that are open end."""
    server.sql(f"ALTER SYSTEM SET default_transaction_read_only = {'off' if yes else 'on'}")
    server.sql("SELECT pg_reload_conf()")
    # Before that reaches the postmaster, a new session still begins as before.
    setting = "off" if yes else "on"
    eventually(lambda: server.sql("SHOW default_transaction_read_only").strip() == setting, "the changed setting")
    # A session that has not heard of its end yet would still answer what only reads.
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pidea-backend'"
    server.sql(ended)


@pytest.fixture
def two(postgres_folder: Path) -> Iterator[tuple[Postgres, Postgres]]:
    """The first takes writes, the second does not."""
    servers = [Postgres(postgres_folder / "template", postgres_folder / uuid4().hex) for _ in range(2)]
    try:
        take_writes(servers[1], False)
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.stop()


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that takes no connection and refuses none, as the address of a machine that is gone."""
    with closing(socket.socket()) as listener, closing(socket.socket()) as filler:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        # The one place in the queue; Linux ignores whoever comes next.
        filler.connect(("127.0.0.1", port))
        yield port


async def port_of(primary: Primary) -> int:
    connection = await primary.connect(**OPTIONS)
    try:
        return int(await connection.fetchval("SELECT inet_server_port()"))
    finally:
        await connection.close()


def test_the_server_that_takes_writes_is_found_wherever_it_stands(two: tuple[Postgres, Postgres]) -> None:
    writable, standby = two
    for order in (two, (standby, writable)):
        primary = Primary([("127.0.0.1", server.port) for server in order])
        assert asyncio.run(port_of(primary)) == writable.port


def test_a_server_that_is_gone_costs_less_than_a_second(two: tuple[Postgres, Postgres], black_hole: int) -> None:
    writable, standby = two

    primary = Primary([("127.0.0.1", port) for port in (black_hole, standby.port, writable.port)])
    began = time.monotonic()
    assert asyncio.run(port_of(primary)) == writable.port
    assert HEAD_START_SECONDS < time.monotonic() - began < 1
    # The next connection asks it first.
    assert primary.servers[0] == ("127.0.0.1", writable.port)


def test_where_none_takes_writes_the_reason_is_said(two: tuple[Postgres, Postgres]) -> None:
    writable, standby = two

    async def connect(*ports: int, password: str = PASSWORD) -> None:
        await Primary([("127.0.0.1", port) for port in ports]).connect(**{**OPTIONS, "password": password})

    with pytest.raises(asyncpg.exceptions.TargetServerAttributeNotMatched):
        asyncio.run(connect(standby.port))
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(connect(standby.port, writable.port, password="wrong"))
    writable.stop()
    try:
        with pytest.raises(OSError, match="Connect call failed"):
            asyncio.run(connect(writable.port, standby.port))
    finally:
        writable.start()


def test_a_name_that_nobody_knows_is_passed_by(two: tuple[Postgres, Postgres]) -> None:
    primary = Primary([("no-such-server.invalid", 5432), ("127.0.0.1", two[0].port)])
    assert asyncio.run(port_of(primary)) == two[0].port


def backend_of(bench: Workbench, servers: tuple[Postgres, Postgres], **environment: str) -> Backend:
    """A backend that uses whichever of the servers takes writes."""
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return bench.ready(DATABASE_HOST=hosts, DATABASE_PORT="1", **environment)


def writes(backend: Backend, path: str) -> bool:
    key = {"Idempotency-Key": uuid4().hex}
    return bool(backend.client.post(path, json={"role": "user", "content": "x"}, headers=key).status_code == 201)


def test_writes_follow_the_primary(two: tuple[Postgres, Postgres], bench_with: Callable[[Postgres], Workbench]) -> None:
    """Both servers hold the same schema; what is written shows which one took it."""
    one, other = two
    bench = bench_with(one)
    backend = backend_of(bench, two, DATABASE_BREAKER_OPEN_SECONDS="0.2")
    path = backend.new_chat()
    assert writes(backend, path)

    # The other one becomes the primary, with the data of the first.
    take_writes(other, True)
    other.sql(f"CREATE DATABASE {bench.database}")
    copy(one, other, bench.database)
    take_writes(one, False)
    eventually(lambda: writes(backend, path), "a write after the change of the primary")
    assert count(other, bench.database) > count(one, bench.database)

    # And while sessions stay open, as those of a primary that was demoted without a restart.
    for _ in range(5):
        assert writes(backend, path)
    other.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    other.sql("SELECT pg_reload_conf()")
    take_writes(one, True)
    eventually(lambda: writes(backend, path), "a write after the second change")


def test_writes_and_reads_wait_for_the_next_primary(
    two: tuple[Postgres, Postgres], bench_with: Callable[[Postgres], Workbench]
) -> None:
    one, other = two
    bench = bench_with(one)
    take_writes(other, True)
    other.sql(f"CREATE DATABASE {bench.database}")
    take_writes(other, False)
    backend = backend_of(bench, two)
    path = backend.new_chat()
    assert writes(backend, path)

    with ThreadPoolExecutor(2) as pool:
        take_writes(one, False)
        key = {"Idempotency-Key": uuid4().hex}
        write = pool.submit(backend.client.post, path, json={"role": "user", "content": "later"}, headers=key)
        read = pool.submit(backend.client.get, "/api/chats")
        time.sleep(2)
        assert not write.done()
        assert not read.done()
        take_writes(one, True)
        assert write.result().status_code == 201
        assert read.result().status_code == 200
    assert [message["content"] for message in backend.client.get(path).json()["messages"]] == ["x", "later"]


def test_a_primary_that_stands_still_is_left_for_the_next_one(
    two: tuple[Postgres, Postgres], bench_with: Callable[[Postgres], Workbench]
) -> None:
    """Its kernel still takes what is sent, so that no connection breaks: as in a frozen container."""
    one, other = two
    bench = bench_with(one)
    backend = backend_of(bench, two)
    path = backend.new_chat()
    assert writes(backend, path)
    take_writes(other, True)
    other.sql(f"CREATE DATABASE {bench.database}")
    copy(one, other, bench.database)
    take_writes(other, False)

    with ThreadPoolExecutor(2) as pool, frozen(one):
        key = {"Idempotency-Key": uuid4().hex}
        write = pool.submit(backend.client.post, path, json={"role": "user", "content": "later"}, headers=key)
        read = pool.submit(backend.client.get, "/api/chats")
        time.sleep(2)
        take_writes(other, True)
        assert write.result().status_code == 201
        assert read.result().status_code == 200
    assert count(other, bench.database) == 2


def test_a_write_that_waits_for_a_standbys_word_is_done_once_and_told_so(
    two: tuple[Postgres, Postgres], bench_with: Callable[[Postgres], Workbench]
) -> None:
    """Its commit takes longer than a statement may; the attempt that follows is not told of another's request."""
    one, _ = two
    bench = bench_with(one)
    backend = backend_of(bench, two)
    path = backend.new_chat()
    with ThreadPoolExecutor(1) as pool:
        with unconfirmed(one):
            write = pool.submit(append, backend, path, uuid4().hex)
            time.sleep(STATEMENT_SECONDS + 2)
            assert not write.done()
        assert write.result() == 201
    assert count(one, bench.database) == 1


def test_a_write_behind_one_that_waits_for_a_standbys_word_waits_too(
    two: tuple[Postgres, Postgres], bench_with: Callable[[Postgres], Workbench]
) -> None:
    """To the same chat, for longer than a statement may take."""
    one, _ = two
    bench = bench_with(one)
    backend = backend_of(bench, two)
    path = backend.new_chat()
    with ThreadPoolExecutor(6) as pool:
        with unconfirmed(one):
            writes = []
            for _ in range(6):
                writes.append(pool.submit(append, backend, path, uuid4().hex))
                time.sleep(0.3)
            time.sleep(STATEMENT_SECONDS)
            assert not any(write.done() for write in writes)
        assert [write.result() for write in writes] == [201] * 6
    assert count(one, bench.database) == 6


def test_what_no_standby_has_is_not_said_to_be_done_by_the_next_attempt_either(
    two: tuple[Postgres, Postgres], bench_with: Callable[[Postgres], Workbench]
) -> None:
    """The first attempt gave up waiting for the standby. Its rows are there for all to see, and may still be lost."""
    one, _ = two
    bench = bench_with(one)
    backend = backend_of(bench, two)
    path, key = backend.new_chat(), uuid4().hex
    with unconfirmed(one):
        assert append(backend, path, key) >= 500
        # Whoever was told so lets go, and the server with him.
        one.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        eventually(lambda: count(one, bench.database) == 1, "the row of the first attempt")
        assert append(backend, path, key) >= 500
    assert append(backend, path, key) == 201
    assert count(one, bench.database) == 1


def test_nobody_waits_for_a_primary_that_does_not_come(
    two: tuple[Postgres, Postgres], bench_with: Callable[[Postgres], Workbench]
) -> None:
    one, other = two
    bench = bench_with(one)
    take_writes(other, True)
    other.sql(f"CREATE DATABASE {bench.database}")
    take_writes(other, False)
    backend = backend_of(bench, two)
    path = backend.new_chat()
    take_writes(one, False)

    began = time.monotonic()
    assert not writes(backend, path)
    assert PATIENCE_SECONDS - 1 < time.monotonic() - began < PATIENCE_SECONDS + 2
    # It is known to be missing by now.
    began = time.monotonic()
    assert not writes(backend, path)
    assert time.monotonic() - began < 1


def append(backend: Backend, path: str, key: str) -> int:
    """The status of a write with that Idempotency-Key."""
    headers = {"Idempotency-Key": key}
    return backend.client.post(path, json={"role": "user", "content": "text"}, headers=headers).status_code


def confirmed_by(server: Postgres, standby: str) -> None:
    """Commits wait for the word of `standby`; for nobody's where it is empty."""
    server.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
    server.sql("SELECT pg_reload_conf()")
    eventually(lambda: server.sql("SHOW synchronous_standby_names") == standby, "the changed setting")


@contextmanager
def unconfirmed(server: Postgres) -> Iterator[None]:
    """Commits wait for the word of a standby that is not there; afterwards for nobody's."""
    try:
        confirmed_by(server, "nobody")
        yield
    finally:
        confirmed_by(server, "")


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """All processes of a server stand still."""
    postmaster = psutil.Process(server.process_id())
    processes = [postmaster, *postmaster.children(recursive=True)]
    try:
        for process in processes:
            process.suspend()
        yield
    finally:
        for process in processes:
            process.resume()


def copy(source: Postgres, target: Postgres, database: str) -> None:
    dump = subprocess.run(
        [POSTGRES_BIN / "pg_dump"], env=source.psql_environment(database), check=True, capture_output=True, timeout=60
    )
    environment = target.psql_environment(database)
    subprocess.run(PSQL, input=dump.stdout, env=environment, check=True, capture_output=True, timeout=60)


def count(server: Postgres, database: str) -> int:
    return int(server.sql("SELECT count(*) FROM messages", database))


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_server_that_hears_nothing_is_given_up_soon(
    two: tuple[Postgres, Postgres], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """The kernel ends the connection; that it does takes a node that is gone, which the chaos scenarios take away."""

    async def limit_milliseconds() -> int:
        connection = await Primary([("127.0.0.1", two[0].port), ("127.0.0.1", two[1].port)]).connect(**OPTIONS)
        try:
            number = connection._transport.get_extra_info("socket").fileno()
            with socket.socket(fileno=os.dup(number)) as shared:
                limit = shared.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            # Its owner's copy of the socket goes on.
            assert await connection.fetchval("SELECT 1") == 1
            return limit
        finally:
            await connection.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(limit_milliseconds()) == UNHEARD_MILLISECONDS
