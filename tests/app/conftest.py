"""Fixtures: private PostgreSQL 15 and Redis 7 servers, and backend processes that use them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.app.servers import (
    PASSWORD,
    POSTGRES_BIN,
    Backend,
    Postgres,
    RedisServer,
    as_postgres,
    clients_file,
    free_port,
)
from tests.app.stores import PostgresStores, SqliteStores, Stores


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """A folder with an initialised data folder `template`; not tmp_path, which other accounts cannot enter."""
    if not (POSTGRES_BIN / "initdb").exists():
        pytest.skip("PostgreSQL 15 is not installed: apt-get install postgresql-15")
    with tempfile.TemporaryDirectory(prefix="pidea-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        initdb = as_postgres(POSTGRES_BIN / "initdb", "--no-sync", "-U", "pidea", "-E", "UTF8", "--locale=C.UTF-8")
        options = ["-A", "scram-sha-256", f"--pwfile={password_file}", "-D", str(folder / "template")]
        subprocess.run([*initdb, *options], check=True, capture_output=True, timeout=120)
        yield folder


@pytest.fixture(scope="session")
def postgres(postgres_folder: Path) -> Iterator[Postgres]:
    """One server for all tests that leave it running; each uses a database of its own."""
    server = Postgres(postgres_folder / "template", postgres_folder / "shared")
    yield server
    server.stop()


@pytest.fixture
def own_postgres(postgres_folder: Path) -> Iterator[Postgres]:
    """A server that a test may stop."""
    server = Postgres(postgres_folder / "template", postgres_folder / uuid4().hex)
    yield server
    server.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may stop, pause and start."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@dataclass
class Workbench:
    """What a test needs to run backends: `start(NAME=value, …)` overrides the environment."""

    environment: dict[str, str]
    launch: Callable[[dict[str, str]], Backend]

    @property
    def database(self) -> str:
        return self.environment["DATABASE_NAME"]

    def start(self, **overrides: str) -> Backend:
        """A backend process that may not be ready yet."""
        return self.launch({**self.environment, "PORT": str(free_port()), **overrides})

    def ready(self, **overrides: str) -> Backend:
        """A backend process that is ready."""
        return self.start(**overrides).wait_until_ready()


@pytest.fixture
def bench_with(tmp_path: Path, redis_server: RedisServer) -> Iterator[Callable[[Postgres], Workbench]]:
    """Makes the workbench over a given PostgreSQL, with a fresh database."""
    password_file = tmp_path / "password"
    password_file.write_text(PASSWORD + "\n")
    with ExitStack() as backends:

        def launch(environment: dict[str, str]) -> Backend:
            backend = Backend(tmp_path, environment)
            backends.callback(backend.close)
            return backend

        def make(server: Postgres) -> Workbench:
            database = f"test_{uuid4().hex}"
            server.sql(f"CREATE DATABASE {database}")
            environment = {
                "LISTEN_ADDRESS": "127.0.0.1",
                "ENVIRONMENT": "test",
                "VERSION": "1.2.3",
                "REVISION": "abc",
                "DRAIN_SECONDS": "0",
                "DATABASE_HOST": "127.0.0.1",
                "DATABASE_PORT": str(server.port),
                "DATABASE_NAME": database,
                "DATABASE_USER": "pidea",
                "DATABASE_PASSWORD_FILE": str(password_file),
                "API_CLIENTS_FILE": str(clients_file(tmp_path)),
                "RATE_LIMIT_PER_SECOND": "0",
                "L3_FOLDER": str(tmp_path / "l3"),
                # Off, so that a test sees what Redis does; tests of L1 switch it on.
                "L1_TTL_MILLISECONDS": "0",
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(redis_server.port),
                "REDIS_USERNAME": "app",
                "REDIS_PASSWORD_FILE": str(password_file),
                # Generous: on a busy machine only a stopped Redis may run into it, not a slow one.
                "REDIS_TIMEOUT_SECONDS": "5",
                "BREAKER_OPEN_SECONDS": "1",
                "DEPENDENCY_CHECK_SECONDS": "0.1",
            }
            return Workbench(environment, launch)

        yield make


@pytest.fixture
def bench(bench_with: Callable[[Postgres], Workbench], postgres: Postgres) -> Workbench:
    """The workbench over the shared PostgreSQL."""
    return bench_with(postgres)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Backend]:
    """A ready backend in embedded mode: no PostgreSQL, no Redis."""
    environment = {
        "LISTEN_ADDRESS": "127.0.0.1",
        "PORT": str(free_port()),
        "DRAIN_SECONDS": "0",
        "RATE_LIMIT_PER_SECOND": "0",
        "API_CLIENTS_FILE": str(clients_file(tmp_path)),
    }
    backend = Backend(tmp_path, environment, "--embedded", "--data", str(tmp_path / "embedded"))
    try:
        yield backend.wait_until_ready()
    finally:
        backend.close()


@pytest.fixture(params=["postgres", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    """Each test runs over both."""
    if request.param == "sqlite":
        return SqliteStores(tmp_path / "data")
    return PostgresStores(request.getfixturevalue("postgres"))


@pytest.fixture
def empty(postgres: Postgres) -> PostgresStores:
    """A database of PostgreSQL without a schema."""
    return PostgresStores(postgres)
