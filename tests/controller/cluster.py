"""Three Redis servers and three sentinels on loopback, with production's users, and a real controller beside them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra import names
from infra.credentials import redis_cluster_acl, sentinel_acl
from tests.app.servers import REPOSITORY, eventually, free_port, listens

SERVICE = "pidea"
SIZE = 3
QUORUM = "2"
# So long that a busy machine brings no failover about: none of these tests is about one.
DOWN_AFTER_MILLISECONDS = 15000
FAILOVER_TIMEOUT_MILLISECONDS = 3000
# Sentinel looks and tells more often than by default, as in production: what it can heal it heals soon.
PERIODS = ("INFO-PERIOD", "1000", "PUBLISH-PERIOD", "500", "TILT-PERIOD", "1000")
USERS = (
    names.REDIS_APP_USERNAME,
    names.REDIS_EXPORTER_USERNAME,
    names.REDIS_ADMIN_USERNAME,
    names.REDIS_BACKUP_USERNAME,
    names.REDIS_REPLICATION_USERNAME,
    names.REDIS_SENTINEL_USERNAME,
    names.REDIS_CONTROLLER_USERNAME,
)
PASSWORDS = {user: f"password-of-{user}" for user in USERS}
# Nobody listens there: the discard service is not installed anywhere.
NOBODY = ("127.0.0.1", "9")


def ask(port: int, *command: str, user: str = names.REDIS_ADMIN_USERNAME) -> Any:
    """What a server or a sentinel answers to a user, as it comes: text, numbers, lists."""
    client = redis.Redis(
        port=port,
        username=user,
        password=PASSWORDS[user],
        socket_timeout=10,
        socket_connect_timeout=10,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        decode_responses=True,
    )
    with client:
        client.response_callbacks.clear()
        return client.execute_command(*command)  # type: ignore[no-untyped-call]


def info(port: int) -> dict[str, str]:
    """A server's INFO."""
    text = ask(port, "INFO", "everything")
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Process:
    """A redis-server that a test may stop. A sentinel where its configuration says so."""

    def __init__(self, folder: Path, configuration: str, *arguments: str) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir()
        self._arguments = arguments
        (folder / "redis.conf").write_text(f"port {self.port}\nbind 127.0.0.1\nlogfile log\n{configuration}")
        self.start()

    def start(self) -> None:
        binary = shutil.which("redis-server") or "redis-server"
        self.process = subprocess.Popen(
            [binary, "redis.conf", *self._arguments], cwd=self.folder, stdout=subprocess.DEVNULL
        )
        eventually(lambda: listens(self.port), "the server listens")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


class Cluster:
    """`servers[0]` is the first primary. Every server has the key `k`, and what `write` writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "servers.acl").write_text(redis_cluster_acl(*((PASSWORDS[user],) for user in USERS)))
        not_of_sentinels = {names.REDIS_REPLICATION_USERNAME, names.REDIS_BACKUP_USERNAME}
        sentinel_users = [user for user in USERS if user not in not_of_sentinels]
        (folder / "sentinels.acl").write_text(sentinel_acl(*((PASSWORDS[user],) for user in sentinel_users)))
        self.processes: list[Process] = []
        self.servers: list[Process] = []
        self.sentinels: list[Process] = []
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        self.servers = [self.server(f"server-{number}") for number in range(SIZE)]
        for replica in self.servers[1:]:
            self.follow(replica, self.servers[0])
        self.write(self.servers[0], "k", "v")
        self.sentinels = [self._sentinel(f"sentinel-{number}") for number in range(SIZE)]

    def server(self, name: str) -> Process:
        """One more server, for nobody yet."""
        user = names.REDIS_REPLICATION_USERNAME
        started = Process(
            self._folder / name,
            f'aclfile {self._folder}/servers.acl\nsave ""\nrepl-diskless-sync-delay 0\n'
            f"repl-ping-replica-period 1\nmasteruser {user}\nmasterauth {PASSWORDS[user]}\n",
        )
        self.processes.append(started)
        return started

    def _sentinel(self, name: str) -> Process:
        user = names.REDIS_SENTINEL_USERNAME
        started = Process(
            self._folder / name,
            f"aclfile {self._folder}/sentinels.acl\nsentinel sentinel-user {user}\nsentinel sentinel-pass"
            f" {PASSWORDS[user]}\n",
            "--sentinel",
        )
        self.processes.append(started)
        ask(started.port, "SENTINEL", "DEBUG", *PERIODS)
        self.watch(started, "127.0.0.1", str(self.servers[0].port))
        return started

    def watch(self, sentinel: Process, host: str, port: str) -> None:
        """By hand: the sentinel watches something else from now on."""
        with suppress(redis.ResponseError):
            ask(sentinel.port, "SENTINEL", "REMOVE", SERVICE)
        ask(sentinel.port, "SENTINEL", "MONITOR", SERVICE, host, port, QUORUM)
        user = names.REDIS_SENTINEL_USERNAME
        options = {
            "auth-user": user,
            "auth-pass": PASSWORDS[user],
            "down-after-milliseconds": str(DOWN_AFTER_MILLISECONDS),
            "failover-timeout": str(FAILOVER_TIMEOUT_MILLISECONDS),
        }
        for name, value in options.items():
            ask(sentinel.port, "SENTINEL", "SET", SERVICE, name, value)

    def follow(self, replica: Process, primary: Process) -> None:
        """By hand: makes it a replica, and waits until it copies."""
        ask(replica.port, "REPLICAOF", "127.0.0.1", str(primary.port))
        eventually(lambda: info(replica.port).get("master_link_status") == "up", "the replica copies")

    def lose(self, replica: Process) -> None:
        """By hand: makes it a replica of nobody that could be reached."""
        ask(replica.port, "REPLICAOF", *NOBODY)

    def promote(self, server: Process) -> None:
        """By hand: makes it a primary."""
        ask(server.port, "REPLICAOF", "NO", "ONE")

    def forget(self) -> None:
        """By hand: the sentinels know only what they can find from their primary now."""
        for sentinel in self.sentinels:
            ask(sentinel.port, "SENTINEL", "RESET", SERVICE)

    def write(self, primary: Process, key: str, value: str) -> None:
        """A write that every replica has acknowledged."""
        ask(primary.port, "SET", key, value)
        replicas = int(info(primary.port)["connected_slaves"])
        assert ask(primary.port, "WAIT", str(replicas), "10000") == replicas

    def roles(self) -> list[str]:
        return [info(server.port)["role"] for server in self.servers]

    def primary(self) -> Process | None:
        """The one that all others copy and all sentinels name; None where there is none such."""
        found = [server for server in self.servers if info(server.port)["role"] == "master"]
        if len(found) != 1:
            return None
        port = str(found[0].port)
        for server in self.servers:
            said = info(server.port)
            if server is not found[0] and (said["master_port"], said["master_link_status"]) != (port, "up"):
                return None
        for sentinel in self.sentinels:
            if self.named_by(sentinel) != port:
                return None
        return found[0]

    def named_by(self, sentinel: Process) -> str | None:
        """The port of the server that a sentinel names."""
        address = ask(sentinel.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return str(address[1]) if address else None

    def knows(self, sentinel: Process) -> dict[str, str]:
        """What it says of its primary; nothing where it watches none."""
        with suppress(redis.ResponseError):
            return pairs(ask(sentinel.port, "SENTINEL", "MASTER", SERVICE))
        return {}

    def is_in_order(self) -> bool:
        """One primary, all follow it, all sentinels agree and know all others."""
        keys = ("num-slaves", "num-other-sentinels", "flags")
        known = {tuple(map(said.get, keys)) for said in map(self.knows, self.sentinels)}
        return self.primary() is not None and known == {(str(SIZE - 1), str(SIZE - 1), "master")}

    def close(self) -> None:
        for process in self.processes:
            process.stop()


class Controlled:
    """A controller process over the cluster; its log lines are kept in a file."""

    def __init__(self, cluster: Cluster, folder: Path, mode: str) -> None:
        self.port = free_port()
        self._log = folder / "controller.log"
        environment = {
            "MODE": mode,
            "REDIS_SERVERS": ",".join(f"127.0.0.1:{server.port}" for server in cluster.servers),
            "REDIS_SENTINELS": ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in cluster.sentinels),
            "REDIS_SENTINEL_SERVICE": SERVICE,
            "DOWN_AFTER_MILLISECONDS": str(DOWN_AFTER_MILLISECONDS),
            "FAILOVER_TIMEOUT_MILLISECONDS": str(FAILOVER_TIMEOUT_MILLISECONDS),
            "INTERVAL_SECONDS": "0.3",
            "PATIENCE_SECONDS": "2",
            "PROMOTE_PATIENCE_SECONDS": "3.5",
            "COOLDOWN_SECONDS": "4",
            "ANSWER_SECONDS": "5",
            "PORT": str(self.port),
            **_login(folder, "REDIS", names.REDIS_CONTROLLER_USERNAME),
            **_login(folder, "SENTINEL", names.REDIS_CONTROLLER_USERNAME),
            **_login(folder, "WATCH", names.REDIS_SENTINEL_USERNAME),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ops.controller"], cwd=REPOSITORY, env=environment, stdout=log, stderr=log
            )
        eventually(self.looks, "the controller has looked")

    def looks(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        return listens(self.port) and bool(self.state()["servers"])

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            text: str = answer.read().decode()
        return text

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.get("/state"))
        return state

    def metric(self, sample: str) -> float:
        """One sample of /metrics without its prefix, with its labels."""
        lines = self.get("/metrics").splitlines()
        (found,) = (line for line in lines if line.startswith(f"pidea_controller_{sample} "))
        return float(found.rpartition(" ")[2])

    def repairs(self, kind: str = "", mode: str = "repair") -> float:
        kinds = [kind] if kind else ["promote", "follow", "monitor", "reset"]
        return sum(self.metric(f'repairs_total{{mode="{mode}",repair="{each}"}}') for each in kinds)

    def findings(self) -> dict[str, str]:
        """Finding → the reason of its first."""
        return {found["finding"]: found["reason"] for found in reversed(self.state()["findings"])}

    def lines(self, message: str) -> list[Mapping[str, Any]]:
        """The log's lines of that message; a line that is no JSON object fails the test."""
        complete = self._log.read_text().rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, complete) if line["message"] == message]

    def close(self) -> int:
        """The exit code after SIGTERM."""
        self.process.terminate()
        return self.process.wait(60)


def _login(folder: Path, prefix: str, user: str) -> dict[str, str]:
    path = folder / f"password-{user}"
    path.write_text(PASSWORDS[user] + "\n")
    return {f"{prefix}_USERNAME": user, f"{prefix}_PASSWORD_FILE": str(path)}
