"""L2 as the tests see it: any number of processes' tiers on one real Redis, and an administrator's view of it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from pydantic import SecretStr

from app.cache.entry import Entry, Key, SharedTier
from app.cache.redis_tier import RedisTier
from app.events import CacheFailed, Event
from app.resilience.breaker import CircuitBreaker
from app.resilience.bulkhead import Bulkhead
from app.resilience.dependency import Dependency
from app.resilience.retry import RetryBudget
from app.settings import Settings
from app.storage import redis
from app.web.clients import Clients
from tests.app.servers import PASSWORD, WAIT_SECONDS, RedisServer

KEY = Key("chat", "owner:page")
ENTRY = Entry(b'{"messages":[]}', 1_000.5, 0.25)
TTL_SECONDS = 300.0
MAX_ENTRY_BYTES = 100_000
# What a client might try to reach other keys, other clients' answers, or Redis' own commands with.
HOSTILE = [
    "",
    ":",
    "::",
    "a:b",
    "*",
    "[a-z]?",
    "../../etc",
    "pidea:version:chat",
    "other:entry:chat:page",
    "{chat}",
    " ",
    "two words",
    "\r\nFLUSHALL\r\n",
    "$3\r\nGET\r\n",
    "\x00",
    "ж🙂",
    "x" * 5_000,
]


def settings_for(port: int, username: str = "app") -> Settings:
    return Settings(
        clients=Clients({}),
        redis_host="127.0.0.1",
        redis_port=port,
        redis_username=username,
        redis_password=SecretStr(PASSWORD if username == "app" else "any"),
    )


class Rig:
    """One process' tier, its events, and its breaker."""

    def __init__(self, client: Any, **options: Any) -> None:
        self.events: list[Event] = []
        self.breaker = CircuitBreaker(
            "redis", self.events.append, failure_threshold=5, open_seconds=0.05, failures=Dependency.FAILURES
        )
        dependency = Dependency(
            "redis",
            self.events.append,
            breaker=self.breaker,
            bulkhead=Bulkhead("redis", max_running=50, max_waiting=1000),
            retry_budget=RetryBudget(0.1),
            failures=redis.FAILURES,
        )
        values: dict[str, Any] = {
            "sender": "here",
            "namespace": "pidea",
            "ttl_seconds": TTL_SECONDS,
            # Generous: on a busy machine only a stopped Redis may run into it, not a slow one.
            "timeout_seconds": 10.0,
            "compress_above_bytes": 1024,
            "max_entry_bytes": MAX_ENTRY_BYTES,
        }
        self.tier = RedisTier(client, dependency, self.events.append, **values | options)

    @property
    def failed(self) -> list[str]:
        return [event.operation for event in self.events if isinstance(event, CacheFailed)]


class World:
    """Any number of processes' tiers on one server, and an administrator's view of what is in it."""

    def __init__(self, server: RedisServer, stack: AsyncExitStack) -> None:
        self.server = server
        self._stack = stack
        self.admin = self._client("default")

    def _client(self, username: str) -> Any:
        client: Any = redis.client(settings_for(self.server.port, username))
        self._stack.push_async_callback(client.aclose)
        return client

    def rig(self, username: str = "app", **options: Any) -> Rig:
        return Rig(self._client(username), **options)

    def pause(self) -> None:
        self.server.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.server.process.send_signal(signal.SIGCONT)


def play(server: RedisServer, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            world = World(server, stack)
            # Before the clients say goodbye to it.
            stack.callback(world.resume)
            await asyncio.wait_for(scenario(world), WAIT_SECONDS)

    asyncio.run(run())


async def version_of(tier: SharedTier, key: Key = KEY) -> bytes:
    version = (await tier.lookup(key)).version
    assert version is not None
    return version


async def put(tier: SharedTier, key: Key = KEY, entry: Entry = ENTRY, ttl_seconds: float = TTL_SECONDS) -> bool:
    return await tier.store(key, await version_of(tier, key), entry, ttl_seconds)


async def found(tier: SharedTier, key: Key = KEY) -> Entry | None:
    return (await tier.lookup(key)).entry


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        await asyncio.sleep(0.01)
