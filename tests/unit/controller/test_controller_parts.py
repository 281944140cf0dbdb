"""The controller's settings, what it reads of a real server's words, its pages' health, and what it may import."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from ops.controller.controller import Controller
from ops.controller.look import server_from
from ops.controller.settings import Settings, SettingsError

PACKAGE = Path(__file__).resolve().parents[3] / "ops" / "controller"
ENVIRONMENT = {
    "MODE": "repair",
    "REDIS_SERVERS": "r1:6379,r2:6379,r3:6379",
    "REDIS_SENTINELS": "s1:26379,s2:26379,s3:26379",
    "REDIS_SENTINEL_SERVICE": "pidea",
}


def test_its_image_holds_all_that_it_imports() -> None:
    allowed = {"__future__", "redis", "prometheus_client"}
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                is_ours = name == "ops.controller" or name.startswith("ops.controller.")
                assert is_ours or name.split(".")[0] in allowed | sys.stdlib_module_names, f"{path.name}: {name}"


def test_settings_have_their_defaults() -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    assert settings.servers == ("r1:6379", "r2:6379", "r3:6379")
    assert (settings.quorum, settings.looks, settings.interval_seconds) == (2, 3, 5.0)


def test_a_password_comes_from_its_file_and_does_not_show(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("very-secret\n")
    settings = Settings.from_environment(
        ENVIRONMENT | {"REDIS_USERNAME": "controller", "REDIS_PASSWORD_FILE": str(file)}
    )
    assert (settings.server_login.username, settings.server_login.password) == ("controller", "very-secret")
    assert "very-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"MODE": "on"}, "MODE must be repair or dry-run, is 'on'"),
        ({"MODE": ""}, "MODE must be set"),
        ({"REDIS_SERVERS": ""}, "REDIS_SERVERS must be set"),
        ({"REDIS_SERVERS": "r1,r2"}, "REDIS_SERVERS must be host:port"),
        ({"REDIS_SENTINELS": "s1:1,s1:1"}, "REDIS_SENTINELS names an address twice"),
        ({"INTERVAL_SECONDS": "0"}, "INTERVAL_SECONDS must be a number above 0, is '0'"),
        ({"LOOKS": "many"}, "LOOKS must be a number above 0, is 'many'"),
        ({"PROMOTE_PATIENCE_SECONDS": "5"}, "must be longer than FAILOVER_TIMEOUT_MILLISECONDS"),
        ({"REDIS_PASSWORD_FILE": "/does/not/exist"}, "REDIS_PASSWORD_FILE cannot be read"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(ENVIRONMENT | changes)
    assert problem in str(caught.value)


REPLICA = """\
# Server
redis_version:7.0.15
run_id:0f0d
# Persistence
loading:0
# Replication
role:slave
master_host:10.88.2.7
master_port:6379
master_link_status:down
master_sync_in_progress:0
slave_repl_offset:1234
connected_slaves:0
master_replid:aaaa
master_replid2:bbbb
master_repl_offset:1234
second_repl_offset:1001
# Keyspace
db0:keys=7,expires=7,avg_ttl=0
db1:keys=2,expires=0,avg_ttl=0
"""


def test_a_replica_is_read_from_its_own_words() -> None:
    server = server_from("r2:6379", REPLICA, {"10.88.2.7": "r1"})
    assert (server.role, server.follows, server.link_is_up, server.is_busy) == ("slave", "r1:6379", False, False)
    assert (server.history, server.offset, server.previous_history, server.previous_end) == ("aaaa", 1234, "bbbb", 1000)
    assert (server.run_id, server.replicas, server.keys) == ("0f0d", 0, 9)


def test_an_address_that_nobody_has_stays_as_it_is() -> None:
    assert server_from("r2:6379", REPLICA, {}).follows == "10.88.2.7:6379"


def test_it_is_not_well_without_a_look_for_three_intervals() -> None:
    now = [100.0]
    controller = Controller(Settings.from_environment(ENVIRONMENT), clock=lambda: now[0])
    now[0] += 3 * (5 + 3 * 2)
    assert not controller.is_well
    now[0] -= 0.1
    assert controller.is_well
