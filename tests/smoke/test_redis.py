"""Redis runs with the configuration and the users that the plan gives it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infra import names
from tests.stack import containers
from tests.stack.instance import Instance
from tests.stack.passwords import passwords

Redis = Callable[..., str]


@pytest.fixture
def redis(stack: Instance) -> Redis:
    """Runs a command as the administrator; gives its answer."""
    container = containers.one(stack, names.REDIS)
    password = passwords(stack)[names.REDIS_ADMIN_PASSWORD]
    client = ["redis-cli", "--no-auth-warning", "--user", names.REDIS_ADMIN_USERNAME]

    def run(*command: str) -> str:
        return containers.execute(container, [*client, *command], REDISCLI_AUTH=password)

    return run


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxmemory", str(512 * 1024 * 1024)),
        ("maxmemory-policy", "allkeys-lru"),
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("save", ""),
        ("dir", "/data"),
        ("enable-debug-command", "no"),
        ("aclfile", names.secret_path(names.REDIS_ACL)),
    ],
)
def test_configuration_is_loaded(redis: Redis, name: str, value: str) -> None:
    assert redis("CONFIG", "GET", name).split("\n") == [name, value] or redis("CONFIG", "GET", name) == name + value


def test_users_are_those_of_the_plan(redis: Redis) -> None:
    own = {names.REDIS_APP_USERNAME, names.REDIS_EXPORTER_USERNAME, names.REDIS_ADMIN_USERNAME}
    wanted = {"default", names.REDIS_BACKUP_USERNAME, *own}
    users = {line.split()[1]: line.split()[2] for line in redis("ACL", "LIST").splitlines()}
    assert users == {name: "off" if name == "default" else "on" for name in wanted}


@pytest.mark.parametrize(
    ("user", "command", "may"),
    [
        (names.REDIS_APP_USERNAME, ("SET", "pidea:a", "b"), True),
        (names.REDIS_APP_USERNAME, ("SET", "a", "b"), False),
        (names.REDIS_APP_USERNAME, ("FLUSHALL",), False),
        (names.REDIS_APP_USERNAME, ("KEYS", "*"), False),
        (names.REDIS_APP_USERNAME, ("CONFIG", "GET", "*"), False),
        (names.REDIS_EXPORTER_USERNAME, ("INFO",), True),
        (names.REDIS_EXPORTER_USERNAME, ("GET", "a"), False),
        (names.REDIS_EXPORTER_USERNAME, ("CONFIG", "SET", "save", ""), False),
        (names.REDIS_BACKUP_USERNAME, ("PSYNC", "?", "-1"), True),
        (names.REDIS_BACKUP_USERNAME, ("GET", "pidea:a"), False),
        (names.REDIS_BACKUP_USERNAME, ("SET", "pidea:a", "b"), False),
    ],
)
def test_users_may_only_what_they_need(redis: Redis, user: str, command: tuple[str, ...], may: bool) -> None:
    assert (redis("ACL", "DRYRUN", user, *command) == "OK") == may


def test_nobody_comes_in_without_a_password(stack: Instance) -> None:
    answer = containers.execute(containers.one(stack, names.REDIS), ["redis-cli", "GET", "a"])
    assert answer.startswith("NOAUTH")
