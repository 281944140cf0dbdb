"""A Redis on a full disk is not ended by its health check: PideaRedisWritesFailing would never fire."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from infra import names
from ops.stack import settings
from ops.stack.reference import resolve
from tests.app.servers import free_port
from tests.unit.infra.test_rendered_configs import program
from tests.unit.infra.waiting import eventually

pytestmark = pytest.mark.app
PASSWORD = "of-the-exporter"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[redis.Redis]:
    port = free_port()
    (tmp_path / "users.acl").write_text(f"user exporter on >{PASSWORD} +@all\nuser default on nopass ~* &* +@all\n")
    command = [program("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "yes", "--aclfile", str(tmp_path / "users.acl")]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            client = redis.Redis(port=port, decode_responses=True)
            eventually(lambda: _is_up(client))
            yield client
            client.close()
        finally:
            process.kill()


def _is_up(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_a_server_that_cannot_write_is_healthy_and_one_that_is_gone_is_not(server: redis.Redis, tmp_path: Path) -> None:
    # In a cluster the sentinels let another server take over.
    found = next(spec for spec in settings.plan_of(resolve("staging")).services if spec.name == names.REDIS)
    assert found.healthcheck is not None
    kind, script = found.healthcheck.command
    assert kind == "CMD-SHELL"
    (tmp_path / "password").write_text(PASSWORD)
    script = script.replace(names.secret_path(names.REDIS_EXPORTER_PASSWORD), str(tmp_path / "password"))
    # In the container the server has the port that the client asks by itself.
    client = tmp_path / "bin" / "redis-cli"
    client.parent.mkdir()
    port = server.connection_pool.connection_kwargs["port"]
    client.write_text(f'#!/bin/sh\nexec {shutil.which("redis-cli")} -p {port} "$@"\n')
    client.chmod(0o755)
    environment = {**os.environ, "PATH": f"{client.parent}:{os.environ['PATH']}"}

    def is_healthy() -> bool:
        done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, timeout=30, check=False)
        return done.returncode == 0

    assert is_healthy()
    (tmp_path / "appendonlydir" / "appendonly.aof.2.incr.aof").symlink_to("/dev/full")
    server.bgrewriteaof()
    eventually(lambda: not server.info("persistence")["aof_rewrite_in_progress"])
    server.set("a", "key")
    eventually(lambda: server.info("persistence")["aof_last_write_status"] == "err")
    with pytest.raises(redis.ResponseError, match="MISCONF"):
        server.ping()
    assert is_healthy()
    server.shutdown(nosave=True, force=True)
    assert not is_healthy()
