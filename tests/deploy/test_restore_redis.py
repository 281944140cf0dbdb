"""The cache alone goes back to a copy: what was in it then is there again, and the application goes on."""

from __future__ import annotations

from infra import names
from tests.deploy.test_restore import backup
from tests.invariants import wait_until_healthy
from tests.stack import containers
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance
from tests.stack.passwords import passwords


def ask(stack: Instance, *command: str) -> str:
    password = passwords(stack)[names.REDIS_ADMIN_PASSWORD]
    client = ["redis-cli", "--no-auth-warning", "--user", names.REDIS_ADMIN_USERNAME]
    return containers.execute(containers.one(stack, names.REDIS), [*client, *command], REDISCLI_AUTH=password)


def test_redis_alone_goes_back_to_its_copy(stack: Instance) -> None:
    ask(stack, "SET", "restored:before", "kept")
    backup(stack, "now", "--only", "redis", "--json")
    ask(stack, "SET", "restored:after", "gone")
    ask(stack, "DEL", "restored:before")
    database = containers.one(stack, names.POSTGRES).id
    try:
        done = stack.pidea("restore", "--only", "redis", "--yes", "--json")
        assert done.code == 0, done.text
        assert done.json["keys"] >= 1
        assert (ask(stack, "GET", "restored:before"), ask(stack, "GET", "restored:after")) == ("kept", "")
        # PostgreSQL was not touched, and the application finds its cache again.
        assert containers.one(stack, names.POSTGRES).id == database
        wait_until_healthy(stack.outputs())
        endpoints = Endpoints(stack.outputs())
        url = endpoints.messages()
        endpoints.write(url, "after the restore")
        assert "after the restore" in endpoints.contents(url)
    finally:
        ask(stack, "DEL", "restored:before", "restored:after")


def test_a_moment_without_a_copy_says_the_range(stack: Instance) -> None:
    refused = stack.pidea("restore", "--only", "redis", "--at", "1999-01-01T00:00:00", "--yes")
    assert refused.code == 2, refused.text
    assert "there are some from 20" in refused.text
