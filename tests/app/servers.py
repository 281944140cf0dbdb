"""Real PostgreSQL, Redis and backend processes on loopback, started and ended by the tests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import uuid4

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")
PSQL = [str(POSTGRES_BIN / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"]
PASSWORD = "only-for-this-test"
# What the backend needs of Redis, and nothing more; production grants the same.
REDIS_ACL = (
    f"user app on >{PASSWORD} resetchannels &pidea:* ~pidea:* -@all +mget +set +get +del +ping +publish +subscribe"
    " +unsubscribe +multi +exec\n"
    "user default on nopass ~* &* +@all\n"
)
# The clients of the API and their tokens.
CLIENTS = {"tester": "token-of-the-tester", "other": "token-of-another-client"}
WAIT_SECONDS = 60.0

T = TypeVar("T")


def clients_file(folder: Path) -> Path:
    """Writes CLIENTS the way that API_CLIENTS_FILE wants them."""
    lines = [f"{name} {hashlib.sha256(token.encode()).hexdigest()}\n" for name, token in CLIENTS.items()]
    path = folder / "clients"
    path.write_text("".join(lines))
    return path


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(attempt: Callable[[], T | Literal[False] | None], what: str) -> T:
    """The first result of `attempt` that is true; the bound is generous, it only ends a failing test."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if result := attempt():
            return result
        time.sleep(0.05)
    raise AssertionError(f"did not happen within {WAIT_SECONDS:g} s: {what}")


def as_postgres(*command: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root; give it the account that its package made."""
    prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    return [*prefix, *map(str, command)]


def listens(port: int) -> bool:
    """Whether a TCP connection to the loopback port is accepted."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Postgres:
    """A server over a copy of an initialised data folder. `start` and `stop` may be repeated; the port stays."""

    def __init__(self, template: Path, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        subprocess.run(as_postgres("cp", "-a", template, folder), check=True)
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories= -c fsync=off"
        self._control("-w", "-t", "60", "-o", options, "-l", str(self._folder / "log"), "start")

    def stop(self) -> None:
        self._control("-m", "immediate", "-w", "stop")

    def process_id(self) -> int:
        """Of the postmaster, whose children are all others."""
        return int((self._folder / "postmaster.pid").read_text().splitlines()[0])

    def _control(self, *arguments: str) -> None:
        command = as_postgres(POSTGRES_BIN / "pg_ctl", "-D", self._folder, *arguments)
        subprocess.run(command, check=True, capture_output=True, timeout=WAIT_SECONDS)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What psql prints for one statement, unaligned and without headers."""
        result = subprocess.run(
            [*PSQL, "-c", statement],
            env=self.psql_environment(database),
            check=True,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
        )
        return result.stdout.strip()

    def hold(self, statement: str, database: str) -> subprocess.Popen[str]:
        """A session that has run `statement` in a transaction and keeps its locks until its stdin is closed."""
        session = subprocess.Popen(
            PSQL,
            env=self.psql_environment(database),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(f"BEGIN; {statement}; SELECT 'held';\n")
        session.stdin.flush()
        while session.stdout.readline().strip() != "held":
            assert session.poll() is None, "psql ended"
        return session

    def psql_environment(self, database: str) -> dict[str, str]:
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "pidea",
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": database,
        }


class RedisServer:
    """A Redis without persistence, with the ACL that production uses. `stop` and `start` keep the port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        (folder / "users.acl").write_text(REDIS_ACL)
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--aclfile", "users.acl"]
        self.process = subprocess.Popen(
            [shutil.which("redis-server") or "redis-server", *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        eventually(lambda: listens(self.port), "Redis listens")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Backend:
    """A `python -m app` process; its log lines are kept in a file. `client` speaks as the client "tester"."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
        self.port = int(environment["PORT"])
        self._clients: list[httpx.Client] = []
        self.client = self.client_as("tester")
        # Not by the port alone: two backends may be told to use the same one.
        self._log = folder / f"backend-{self.port}-{uuid4()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", *arguments], cwd=REPOSITORY, env=dict(environment), stdout=log, stderr=log
            )

    def client_as(self, name: str | None) -> httpx.Client:
        """An HTTP client with the token of a client of CLIENTS; None: without one."""
        client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=WAIT_SECONDS, trust_env=False)
        if name is not None:
            client.headers["Authorization"] = f"Bearer {CLIENTS[name]}"
        self._clients.append(client)
        return client

    def new_chat(self, title: str = "") -> str:
        """Create a chat and return the path of its messages."""
        answer = self.client.post("/api/chats", json={"title": title})
        assert answer.status_code == 201, answer.text
        return f"/api/chats/{answer.json()['id']}/messages"

    def wait_until_ready(self) -> Backend:
        def ready() -> bool:
            assert self.process.poll() is None, f"the backend ended:\n{self._log.read_text()}"
            return listens(self.port) and self.client.get("/api/health/ready").status_code == 200

        eventually(ready, "the backend is ready")
        return self

    def log_lines(self) -> list[dict[str, Any]]:
        """Every line so far; a line that is not a JSON object fails the test."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def access_log(self, count: int) -> list[dict[str, Any]]:
        """The lines about the first `count` user requests; each is written after its answer was sent."""

        def written() -> list[dict[str, Any]] | None:
            # The last line may be half written while it is read.
            complete = self._log.read_text().rpartition("\n")[0].splitlines()
            lines = [line for line in map(json.loads, complete) if line["logger"] == "app.access"]
            return lines if len(lines) >= count else None

        return eventually(written, f"{count} requests are in the access log")

    def metric(self, sample: str) -> float:
        """The value of one sample of /metrics, named with its labels."""
        lines = self.client.get("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample + " ")), 0.0)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(WAIT_SECONDS)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
