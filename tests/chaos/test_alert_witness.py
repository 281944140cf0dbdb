"""The witness of alerts and its hand, against real servers: what it tells is true, what it holds is let go."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import yaml

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from ops.alerts import delivery
from ops.alerts.timeline import FIRING, PENDING, RESOLVED, Timeline
from tests.app.conftest import own_postgres, postgres_folder, redis_server
from tests.app.servers import PASSWORD, REPOSITORY, Postgres, RedisServer, free_port
from tests.unit.infra.alertmanagers import Member, running
from tests.unit.infra.conftest import read_config
from tests.unit.infra.test_rendered_configs import program
from tests.unit.infra.waiting import eventually

pytestmark = pytest.mark.app
__all__ = ["own_postgres", "postgres_folder", "redis_server"]
CLIENT = REPOSITORY / "images" / "chaos-client"
# What Prometheus of its own says: that something is as it must not be, for two seconds.
RULE = {"alert": "Wrong", "expr": "vector(1)", "for": "2s", "labels": {"severity": "critical", "service": "it"}}


@pytest.fixture
def environment(own_postgres: Postgres, redis_server: RedisServer, tmp_path: Path) -> dict[str, str]:
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    return {
        **os.environ,
        "PYTHONPATH": str(CLIENT),
        "CHAOS_RUN": "test",
        "CHAOS_SLOT": "1",
        "CHAOS_SECONDS": "0",
        "CHAOS_WRITES_PER_SECOND": "0",
        "CHAOS_REDIS": json.dumps({"redis": "127.0.0.1"}),
        "CHAOS_SENTINELS": "{}",
        "CHAOS_POSTGRES": json.dumps({"postgres": "127.0.0.1"}),
        "CHAOS_PORTS": json.dumps({"redis": redis_server.port, "postgres": own_postgres.port}),
        "CHAOS_DATABASE": "postgres",
        "CHAOS_POSTGRES_USERNAME": "pidea",
        "CHAOS_POSTGRES_PASSWORD_FILE": str(password),
        "CHAOS_STATISTICS_USERNAME": "pidea",
        "CHAOS_STATISTICS_PASSWORD_FILE": str(password),
    }


def stroke(environment: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "chaos.strokes", *words]
    subprocess.run(command, env=environment, check=True, timeout=90)


@contextlib.contextmanager
def held(environment: dict[str, str], *words: str) -> Iterator[subprocess.Popen[str]]:
    """As `Witness.hold` holds it: until standard input ends."""
    command = [sys.executable, "-m", "chaos.holds", *words]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_deadlocks_are_counted_by_the_server(environment: dict[str, str], own_postgres: Postgres) -> None:
    count = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"
    before = int(own_postgres.sql(count))
    stroke(environment, "deadlocks", "3")
    eventually(lambda: int(own_postgres.sql(count)) == before + 3)


def test_connections_are_taken_up_to_a_share_and_given_back(
    environment: dict[str, str], own_postgres: Postgres
) -> None:
    most = int(own_postgres.sql("SHOW max_connections"))
    taken = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pidea-chaos'"
    with held(environment, "connections", "0.5"):
        assert int(own_postgres.sql(taken)) >= most * 0.5 - 2
    eventually(lambda: own_postgres.sql(taken) == "0")


def test_a_transaction_stays_open_until_it_is_let_go(environment: dict[str, str], own_postgres: Postgres) -> None:
    active = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pidea-chaos' AND state = 'active'"
    with held(environment, "transaction"):
        eventually(lambda: own_postgres.sql(active) == "1")
    eventually(lambda: own_postgres.sql(active) == "0")


def test_redis_refuses_for_a_moment_and_rewrites_its_file(
    environment: dict[str, str], redis_server: RedisServer
) -> None:
    with redis.Redis(port=redis_server.port, decode_responses=True) as client:
        most = client.config_get("maxclients")
        before = client.info("stats")["rejected_connections"]
        stroke(environment, "refused", "4")
        assert client.info("stats")["rejected_connections"] >= before + 4
        assert client.config_get("maxclients") == most
        client.config_set("appendonly", "yes")
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        stroke(environment, "rewrite")
        assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"


def test_a_replica_that_is_cut_off_follows_again(
    environment: dict[str, str], redis_server: RedisServer, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "replica").mkdir()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--replicaof", "127.0.0.1", str(redis_server.port), "--repl-diskless-sync-delay", "0"]
    with (
        redis.Redis(port=redis_server.port, decode_responses=True) as primary,
        subprocess.Popen(command, cwd=tmp_path / "replica", stdout=subprocess.DEVNULL) as server,
    ):
        try:
            with redis.Redis(port=port, decode_responses=True) as replica:
                primary.config_set("requirepass", "a password")
                primary.execute_command("AUTH", "a password")
                eventually(lambda: _answers(replica))
                replica.config_set("masterauth", "a password")
                eventually(lambda: replica.info("replication")["master_link_status"] == "up")
                cut = {**environment, "CHAOS_PORTS": json.dumps({"redis": port})}
                with held(cut, "cut-off", "redis"):
                    eventually(lambda: replica.info("replication")["master_link_status"] == "down")
                    time.sleep(3)
                    assert replica.info("replication")["master_link_status"] == "down"
                eventually(lambda: replica.info("replication")["master_link_status"] == "up", timeout_seconds=30)
        finally:
            server.kill()


def test_sessions_are_kept_open_over_rounds_and_closed(environment: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        "global\n  maxconn 300\n"
        "defaults\n  mode http\n  timeout client 30s\n  timeout server 5s\n  timeout connect 5s\n"
        f"frontend public\n  bind 127.0.0.1:{port}\n  http-request deny deny_status 404 if {{ path /metrics }}\n"
        "  http-request use-service prometheus-exporter if { path /figures }\n"
    )
    binary = program("haproxy", "haproxy")

    def sessions() -> int:
        figures = subprocess.run(
            ["curl", "-sS", f"http://127.0.0.1:{port}/figures"], capture_output=True, text=True, check=True
        ).stdout
        line = next(
            line for line in figures.splitlines() if line.startswith('haproxy_frontend_current_sessions{proxy="public"')
        )
        return int(float(line.split()[-1]))

    with subprocess.Popen([binary, "-db", "-f", str(config)], stdout=subprocess.DEVNULL) as server:
        try:
            time.sleep(1)
            with held(environment, "sessions", "127.0.0.1", str(port), "200"):
                assert sessions() >= 200
                time.sleep(3)
                assert sessions() >= 200
            eventually(lambda: sessions() < 5)
        finally:
            server.kill()


def _answers(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False


@pytest.fixture
def alertmanager(tmp_path: Path, witness_port: int) -> Iterator[Member]:
    """With the configuration that a proof gives it."""
    found = StackSettings.from_config(read_config("staging"))
    plan = build_plan(delivery.routed(found, f"http://127.0.0.1:{witness_port}/"))
    (tmp_path / "alertmanager").mkdir()
    with running(plan, tmp_path / "alertmanager", {}) as members:
        eventually(lambda: members[0].get("status") is not None)
        yield members[0]


@pytest.fixture
def witness_port() -> int:
    return free_port()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "it", "rules": [RULE]}]}))
    config = {"global": {"evaluation_interval": "1s"}, "rule_files": [str(folder / "rules.yml")]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program("prometheus", "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.route-prefix=/prometheus",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}/{names.PROMETHEUS}"
        finally:
            process.terminate()
            process.wait(30)


def test_what_is_told_and_what_fires_is_seen_and_what_is_refused_is_not(
    alertmanager: Member, prometheus: str, witness_port: int, environment: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "told"
    timeline = Timeline()

    def seen(what: object) -> bool:
        return what is not None

    def read() -> Timeline:
        for line in output.read_text().splitlines():
            timeline.take(line)
        return timeline

    told = {
        **environment,
        "WITNESS_PORT": str(witness_port),
        "WITNESS_PROMETHEUS": prometheus,
        "WITNESS_ALERTMANAGERS": alertmanager.url,
    }
    with output.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "chaos.witness"], env=told, stdout=file)
    try:
        eventually(lambda: read().has_started)
        eventually(lambda: seen(read().entered("Wrong", {"service": "it"}, {FIRING}, 0.0)))
        pending = timeline.entered("Wrong", {}, {PENDING}, 0.0)
        assert pending is not None
        assert pending < (timeline.entered("Wrong", {}, {FIRING}, 0.0) or 0.0)
        with (
            held(told, "alert", "PideaProofTold", "critical"),
            held(told, "alert", "PideaProofRefused", "critical", "refused=yes"),
        ):
            eventually(lambda: seen(read().told("PideaProofTold", {"service": "proof"}, FIRING, 0.0)))
            assert timeline.told("PideaProofTold", {"service": "other"}, FIRING, 0.0) is None
            # Alertmanager has tried, and says so.
            eventually(lambda: _failed(alertmanager) > 0)
        eventually(lambda: seen(read().told("PideaProofTold", {}, RESOLVED, 0.0)), timeout_seconds=90)
        assert timeline.told("PideaProofRefused", {}, FIRING, 0.0) is None
    finally:
        process.kill()
        process.wait()


def _failed(member: Member) -> float:
    figures = subprocess.run(
        ["curl", "-sS", f"{member.url}/metrics"], capture_output=True, text=True, check=True
    ).stdout
    name = 'alertmanager_notifications_failed_total{integration="webhook"}'
    return float(next(line for line in figures.splitlines() if line.startswith(name)).split()[-1])
