"""Counting `secretsVersion` up makes every password anew, and everything works with the new ones."""

from __future__ import annotations

import requests
import yaml

from infra import names
from tests.invariants import wait_until_healthy
from tests.stack import containers
from tests.stack.endpoints import TIMEOUT_SECONDS, Endpoints
from tests.stack.instance import Instance
from tests.stack.passwords import passwords


def test_all_passwords_are_made_anew(stack: Instance) -> None:
    old_login, old = Endpoints(stack.outputs()).login, passwords(stack)
    url = Endpoints(stack.outputs()).messages()
    Endpoints(stack.outputs()).write(url, "before the rotation")

    config = yaml.safe_load(stack.stack.config_file.read_text())["config"]
    stack.configure({"pidea:secretsVersion": int(config.get("pidea:secretsVersion", 1)) + 1})
    stack.up()

    outputs = stack.outputs()
    wait_until_healthy(outputs)
    new = passwords(stack)
    # What was stored before must stay readable.
    assert new.pop(names.BACKUP_REPOSITORY_PASSWORD) == old.pop(names.BACKUP_REPOSITORY_PASSWORD)
    assert not set(old.values()) & set(new.values())
    endpoints = Endpoints(outputs)
    assert endpoints.login != old_login
    refused = requests.get(f"{endpoints.operators}/haproxy", auth=old_login, timeout=TIMEOUT_SECONDS)
    assert refused.status_code == 401
    assert endpoints.contents(url) == ["before the rotation"]
    # Whoever calls the backend has time until the next rotation to take the new token.
    old_token = {"Authorization": f"Bearer {old[names.API_TOKEN]}"}
    assert requests.get(url, headers=old_token, timeout=TIMEOUT_SECONDS).status_code == 200

    redis = containers.one(stack, names.REDIS)
    ping = ["redis-cli", "--no-auth-warning", "--user", names.REDIS_ADMIN_USERNAME, "PING"]
    assert containers.execute(redis, ping, REDISCLI_AUTH=new[names.REDIS_ADMIN_PASSWORD]) == "PONG"
    assert "PONG" not in containers.execute(redis, ping, REDISCLI_AUTH=old[names.REDIS_ADMIN_PASSWORD])

    postgres = containers.one(stack, names.POSTGRES)
    address = postgres.inside.check_output("hostname --ip-address")
    assert _login(postgres, address, new[names.POSTGRES_APP_PASSWORD])
    assert not _login(postgres, address, old[names.POSTGRES_APP_PASSWORD])
    mounted = containers.of(stack, names.APP)[0].inside.file(names.secret_path(names.REDIS_APP_PASSWORD))
    assert mounted.content_string == new[names.REDIS_APP_PASSWORD]


def _login(container: containers.Container, address: str, password: str) -> bool:
    """Over TCP, from its own address: the socket would ask for no password."""
    command = [
        "psql",
        "--no-psqlrc",
        "--no-password",
        f"--host={address}",
        f"--username={names.POSTGRES_APP_USERNAME}",
        f"--dbname={names.POSTGRES_DATABASE}",
        "--command=SELECT 1",
    ]
    try:
        return containers.execute(container, command, PGPASSWORD=password) != ""
    except AssertionError as error:
        if "password authentication failed" in str(error):
            return False
        raise
