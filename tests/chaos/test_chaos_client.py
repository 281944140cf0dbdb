"""The clients inside, against real servers: what they tell is true, and what they say was stored can be found."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from ops.chaos.checks import lost
from ops.chaos.follow import parse
from ops.chaos.gaps import longest_gap
from ops.chaos.records import Outcome, Sample, Store, Write
from tests.app.conftest import own_postgres, postgres_folder
from tests.app.servers import PASSWORD, REPOSITORY, Postgres, eventually, free_port

pytestmark = pytest.mark.app
__all__ = ["own_postgres", "postgres_folder"]

CLIENT = REPOSITORY / "images" / "chaos-client"
HOSTS = {f"redis-{slot}": f"127.0.7.{slot}" for slot in (1, 2, 3)}
SENTINELS = {f"sentinel-{slot}": f"127.0.7.{slot}" for slot in (1, 2, 3)}
SERVICE = "chaos"
SECONDS = 14
DOWN_AFTER_MS = 1000


class Cluster:
    """Three Redis servers and three sentinels on loopback addresses of their own."""

    def __init__(self, folder: Path) -> None:
        self.port, self.sentinel_port = free_port(), free_port()
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder

    def start(self) -> None:
        for member, host in HOSTS.items():
            follow = [] if host.endswith(".1") else ["--replicaof", HOSTS["redis-1"], str(self.port)]
            options = ["--repl-diskless-sync-delay", "0", "--save", "", "--replica-announce-ip", host, *follow]
            self._start(member, host, self.port, *options)
        eventually(lambda: self.ask("redis-1", "INFO", "replication")["connected_slaves"] == 2, "two replicas follow")
        for member, host in SENTINELS.items():
            file = self._folder / f"{member}.conf"
            file.write_text(
                f"sentinel monitor {SERVICE} {HOSTS['redis-1']} {self.port} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {SERVICE} 3000\n"
                f"sentinel announce-ip {host}\n"
            )
            self._start(member, host, self.sentinel_port, "--sentinel", config=file)
        eventually(lambda: all(map(self._knows_all, SENTINELS.values())), "the sentinels know each other")

    def ask(self, member: str, *command: str) -> Any:
        with redis.Redis(host=HOSTS[member], port=self.port, socket_timeout=2, decode_responses=True) as client:
            return client.execute_command(*command)

    def kill(self, member: str) -> None:
        self.servers[member].kill()
        self.servers[member].wait()

    def close(self) -> None:
        for process in self.servers.values():
            process.kill()
            process.wait()

    def _start(self, member: str, host: str, port: int, *options: str, config: Path | None = None) -> None:
        binary = shutil.which("redis-server") or "redis-server"
        first = [str(config)] if config else []
        command = [binary, *first, "--port", str(port), "--bind", host, "--protected-mode", "no", *options]
        folder = self._folder / member
        folder.mkdir()
        self.servers[member] = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)

    def _knows_all(self, host: str) -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis(host=host, port=self.sentinel_port) as client:
            seen = client.sentinel_master(SERVICE)
            return int(seen["num-slaves"]) == 2 and int(seen["num-other-sentinels"]) == 2
        return False


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    made = Cluster(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def environment(cluster: Cluster, own_postgres: Postgres, tmp_path: Path) -> dict[str, str]:
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    own_postgres.sql("CREATE TABLE chats (id uuid, title text); CREATE TABLE messages (chat_id uuid, content text)")
    return {
        **os.environ,
        "PYTHONPATH": str(CLIENT),
        "CHAOS_RUN": "test",
        "CHAOS_SLOT": "1",
        "CHAOS_SECONDS": str(SECONDS),
        "CHAOS_WRITES_PER_SECOND": "20",
        "CHAOS_REDIS": json.dumps(HOSTS),
        "CHAOS_SENTINELS": json.dumps(SENTINELS),
        "CHAOS_POSTGRES": json.dumps({"postgres-1": "127.0.0.1"}),
        "CHAOS_PORTS": json.dumps(
            {"redis": cluster.port, "sentinel": cluster.sentinel_port, "postgres": own_postgres.port}
        ),
        "CHAOS_SENTINEL_SERVICE": SERVICE,
        "CHAOS_DATABASE": "postgres",
        "CHAOS_POSTGRES_USERNAME": "pidea",
        "CHAOS_POSTGRES_PASSWORD_FILE": str(password),
        "CHAOS_STATISTICS_USERNAME": "pidea",
        "CHAOS_STATISTICS_PASSWORD_FILE": str(password),
    }


def told(environment: dict[str, str], tmp_path: Path, act: Callable[[], None]) -> tuple[list[Write], list[Sample]]:
    """What the clients told until they said that they were over; `act` is done while they work."""
    output = tmp_path / "told"
    with output.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "chaos"], env=environment, stdout=file)
        try:
            act()
            eventually(lambda: '"kind":"over"' in output.read_text(), "the clients say that they are over")
            assert process.poll() is None, "they wait to be removed"
        finally:
            process.kill()
            process.wait()
    records = [parse(1, json.loads(line)) for line in output.read_text().splitlines()]
    writes = [record for record in records if isinstance(record, Write)]
    return writes, [record for record in records if isinstance(record, Sample)]


def asked(environment: dict[str, str], what: str) -> list[str]:
    command = [sys.executable, "-m", "chaos.ask", what, "test"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


def test_a_killed_primary_is_seen_timed_and_nothing_acknowledged_is_lost(
    cluster: Cluster,
    environment: dict[str, str],
    own_postgres: Postgres,
    tmp_path: Path,
) -> None:
    killed: list[float] = []

    def act() -> None:
        time.sleep(4)
        cluster.kill("redis-1")
        killed.append(time.time())

    writes, samples = told(environment, tmp_path, act)
    of = {store: [write for write in writes if write.store is store] for store in Store}
    acknowledged = [write for write in of[Store.REDIS] if write.outcome is Outcome.ACKNOWLEDGED]
    gap = longest_gap([write.at for write in acknowledged], killed[0], killed[0] + 8)
    assert DOWN_AFTER_MS / 1000 <= gap < 8
    assert {write.server for write in acknowledged if write.at < killed[0]} == {"redis-1"}
    new = {write.server for write in acknowledged if write.at > killed[0] + 8}
    assert len(new) == 1
    assert new < {"redis-2", "redis-3"}
    assert all(write.outcome is not Outcome.ACKNOWLEDGED for write in of[Store.STICKY])
    # The one that stays with its connection has found the new primary too.
    assert any(write.outcome is Outcome.ACCEPTED and write.at > killed[0] + 8 for write in of[Store.STICKY])

    assert lost(of[Store.REDIS], set(asked(environment, "redis"))) == []
    assert lost(of[Store.POSTGRES], set(asked(environment, "postgres"))) == []
    assert sum(write.outcome is Outcome.ACKNOWLEDGED for write in of[Store.POSTGRES]) > 100
    assert len({write.id for write in writes}) == len(writes)

    before, after = samples[4], samples[-1]
    assert before.redis_primaries() == ["redis-1"]
    assert before.redis["redis-2"] == {"role": "slave", "of": "redis-1", "link": "up"}
    assert set(before.sentinels.values()) == {"redis-1"}
    assert before.postgres == {"postgres-1": "primary"}
    assert set(after.redis_primaries()) == new
    assert "redis-1" not in after.redis
    assert set(after.sentinels.values()) == new
    assert len(samples) > 3 * SECONDS


def test_a_lost_write_would_be_found(
    cluster: Cluster,
    environment: dict[str, str],
    own_postgres: Postgres,
    tmp_path: Path,
) -> None:
    writes, _ = told({**environment, "CHAOS_SECONDS": "3"}, tmp_path, lambda: None)
    gone = next(write for write in writes if write.outcome is Outcome.ACKNOWLEDGED and write.store is Store.REDIS)
    cluster.ask("redis-1", "DEL", f"pidea:chaos:{gone.id}")
    row = next(write for write in writes if write.store is Store.POSTGRES)
    own_postgres.sql(f"DELETE FROM chaos_writes WHERE number = {row.number}")  # noqa: S608 - our own number
    assert lost([w for w in writes if w.store is Store.REDIS], set(asked(environment, "redis"))) == [gone.id]
    assert lost([w for w in writes if w.store is Store.POSTGRES], set(asked(environment, "postgres"))) == [row.id]


def test_an_outage_of_postgresql_is_seen_and_survived(
    cluster: Cluster,
    environment: dict[str, str],
    own_postgres: Postgres,
    tmp_path: Path,
) -> None:
    away: list[float] = []

    def act() -> None:
        time.sleep(2)
        own_postgres.stop()
        away.append(time.time())
        time.sleep(2)
        own_postgres.start()
        away.append(time.time())

    writes, samples = told({**environment, "CHAOS_SECONDS": "8"}, tmp_path, act)
    answered = [w.at for w in writes if w.store is Store.POSTGRES and w.outcome is Outcome.ACKNOWLEDGED]
    assert 2 <= longest_gap(answered, away[0], away[1]) < 6
    assert any(not sample.postgres for sample in samples if away[0] + 0.5 < sample.at < away[1])
    assert lost([w for w in writes if w.store is Store.POSTGRES], set(asked(environment, "postgres"))) == []


def test_cleaning_takes_this_run_s_away(
    cluster: Cluster,
    environment: dict[str, str],
    own_postgres: Postgres,
    tmp_path: Path,
) -> None:
    told({**environment, "CHAOS_SECONDS": "2"}, tmp_path, lambda: None)
    own_postgres.sql("INSERT INTO chaos_writes VALUES ('other.1.x', 1)")
    asked(environment, "clean")
    assert asked(environment, "postgres") == []
    assert own_postgres.sql("SELECT count(*) FROM chaos_writes") == "1"


def test_a_standby_s_refusal_is_one_of_the_failures_that_a_writer_survives() -> None:
    code = (
        "import asyncpg; from chaos.postgres_writer import FAILURES; "
        "assert issubclass(asyncpg.exceptions.TargetServerAttributeNotMatched, FAILURES)"
    )
    environment = {**os.environ, "PYTHONPATH": str(CLIENT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
