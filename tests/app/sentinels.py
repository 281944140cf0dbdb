"""A Redis primary with a replica and the three sentinels that watch over them, on loopback."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from tests.app.servers import RedisServer, eventually, free_port, listens

SERVICE = "pidea"
SENTINELS = 3
DOWN_AFTER_MILLISECONDS = 1000
FAILOVER_TIMEOUT_MILLISECONDS = 3000


def ask(port: int, *command: str) -> Any:
    """What a server or a sentinel answers; it gets a second."""
    with redis.Redis(port=port, socket_timeout=1, socket_connect_timeout=1, decode_responses=True) as client:
        return client.execute_command(*command)


class Sentinels:
    """Over a primary that runs; `close` ends the replica and the sentinels, not the primary."""

    def __init__(self, folder: Path, primary: RedisServer) -> None:
        self.primary = primary
        self.ports: list[int] = []
        while len(self.ports) < SENTINELS:
            # The kernel may offer the same one again: nothing listens on it yet.
            self.ports += {free_port()} - {*self.ports}
        # In the order of `ports`.
        self.processes: list[subprocess.Popen[bytes]] = []
        replica_folder = folder / "replica"
        replica_folder.mkdir()
        self.replica = RedisServer(replica_folder)
        try:
            # By default it waits for more replicas to come.
            ask(primary.port, "CONFIG", "SET", "repl-diskless-sync-delay", "0")
            ask(self.replica.port, "REPLICAOF", "127.0.0.1", str(primary.port))
            eventually(self.replicates, "the replica follows the primary")
            for port in self.ports:
                self._watch(folder / f"sentinel-{port}", port)
            eventually(lambda: all(map(self._knows_all, self.ports)), "the sentinels know each other and the replica")
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> str:
        """As REDIS_SENTINELS wants them."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def replicates(self) -> bool:
        """Whether the replica is connected to its primary."""
        return bool(ask(self.replica.port, "INFO", "replication").get("master_link_status") == "up")

    def failed_over(self) -> bool:
        """Whether every sentinel names the former replica, and it has become a primary."""
        named = {ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1] for port in self.ports}
        return {int(port) for port in named} == {self.replica.port} and self.is_primary(self.replica)

    def is_primary(self, server: RedisServer) -> bool:
        """Whether a server takes itself for one."""
        return bool(ask(server.port, "ROLE")[0] == "master")

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.replica.stop()

    def _watch(self, folder: Path, port: int) -> None:
        folder.mkdir()
        # The sentinel writes into it what it finds out.
        configuration = folder / "sentinel.conf"
        configuration.write_text(
            f"port {port}\n"
            "bind 127.0.0.1\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary.port} {SENTINELS // 2 + 1}\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MILLISECONDS}\n"
            f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MILLISECONDS}\n"
        )
        binary = shutil.which("redis-server") or "redis-server"
        self.processes.append(
            subprocess.Popen([binary, str(configuration), "--sentinel"], cwd=folder, stdout=subprocess.DEVNULL)
        )
        eventually(lambda: listens(port), "the sentinel listens")

    def _knows_all(self, port: int) -> bool:
        with suppress(redis.RedisError):
            primary = ask(port, "SENTINEL", "MASTER", SERVICE)
            known = (int(primary["num-slaves"]), int(primary["num-other-sentinels"]))
            return known == (1, SENTINELS - 1) and bool(primary["flags"] in ("master", {"master"}))
        return False
