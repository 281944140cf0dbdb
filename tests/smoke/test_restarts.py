"""What is stored survives the sudden death of what stores it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from infra import names
from ops.stack import swarm
from tests.invariants import wait_until_healthy
from tests.stack import commands, containers
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance
from tests.stack.passwords import passwords
from tests.stack.waiting import wait_until


def test_chats_and_cache_survive_a_kill(stack: Instance) -> None:
    """Both at once: each takes the stack half a minute to be well again."""
    outputs = stack.outputs()
    endpoints = Endpoints(outputs)
    url = endpoints.messages()
    endpoints.write(url, "still here?")
    redis = containers.one(stack, names.REDIS)
    _redis(stack, redis, "SET", "smoke:survivor", "yes")

    with _followed_log(stack, names.REDIS) as new_lines:
        for service in (names.POSTGRES, names.REDIS):
            _kill(stack, service)
        wait_until_healthy(outputs, timeout_seconds=240)
    # By the server that was not there when the command began to look.
    assert any("Ready to accept connections" in line for line in new_lines)

    again = containers.one(stack, names.REDIS)
    assert again.id != redis.id
    assert _redis(stack, again, "GET", "smoke:survivor") == "yes"
    _redis(stack, again, "DEL", "smoke:survivor")
    stored = containers.one(stack, names.POSTGRES).inside.check_output(
        "psql --no-psqlrc -At --username=postgres --dbname=%s --command=%s",
        names.POSTGRES_DATABASE,
        "SELECT chat_id, content FROM messages",
    )
    assert f"{url.split('/')[-2]}|still here?" in stored.splitlines()
    assert endpoints.contents(url) == ["still here?"]


@contextlib.contextmanager
def _followed_log(stack: Instance, service: str) -> Iterator[list[str]]:
    """Gives a list that holds, afterwards, what `./pidea logs --follow` showed meanwhile."""
    lines: list[str] = []
    process = commands.start(stack.command("logs", service, "--follow", "--tail", "1"))
    try:
        # Its last line of before: from here on nothing is missed.
        assert process.stdout is not None
        assert process.stdout.readline()
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        finished = commands.finish(process, 60)
    assert finished.code == 0, finished.text
    lines += finished.output.splitlines()


def _kill(stack: Instance, service: str) -> None:
    """Ends its container without a chance to write anything down, and waits for another to be healthy."""
    dead = containers.one(stack, service)
    with swarm.client() as api:
        api.kill(dead.id, "SIGKILL")

    def replaced() -> bool:
        with contextlib.suppress(AssertionError):
            now = containers.one(stack, service)
            return now.id != dead.id and now.details["State"]["Health"]["Status"] == "healthy"
        return False

    wait_until(replaced, f"Swarm starts {service} again", timeout_seconds=120)


def _redis(stack: Instance, container: containers.Container, *command: str) -> str:
    client = ["redis-cli", "--no-auth-warning", "--user", names.REDIS_ADMIN_USERNAME, *command]
    return containers.execute(container, client, REDISCLI_AUTH=passwords(stack)[names.REDIS_ADMIN_PASSWORD])
