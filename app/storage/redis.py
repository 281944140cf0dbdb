"""The Redis client: one address, or the primary that the sentinels name."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from app.settings import Settings

# Calls at once; further ones wait in the bulkhead. One more connection each for the messages and the health check.
MAX_CALLS = 50
MAX_CONNECTIONS = MAX_CALLS + 4
# Of one sentinel, which may be gone; the next one is asked then. A request has given up before that and goes on without
# Redis; health check and listener wait longer, and the sentinel that answered is asked first from then on.
SENTINEL_SECONDS = 0.5

# What means that Redis did not do its part.
FAILURES: tuple[type[Exception], ...] = (RedisError, OSError)


class _Connection(Connection):
    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        await _sent(super().send_packed_command(command, check_health))


class _ConnectionToPrimary(SentinelManagedConnection):
    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        await _sent(super().send_packed_command(command, check_health))


async def _sent(sending: Awaitable[None]) -> None:
    """uvloop says RuntimeError where a connection has ended that nobody has told so yet, and redis-py passes it on."""
    try:
        await sending
    except RuntimeError as error:
        raise RedisConnectionError(f"the connection has ended: {error}") from error


def client(settings: Settings) -> Redis:
    """A client that connects when it is first used."""
    options: dict[str, Any] = {
        "username": settings.redis_username,
        "password": settings.redis_password.get_secret_value(),
        "max_connections": MAX_CONNECTIONS,
        # Every call is limited by app.resilience, which knows a stall of ours from one of Redis.
        "socket_timeout": None,
        "socket_connect_timeout": None,
        # The breaker decides about trying again; hidden retries would eat the request's time.
        "retry": Retry(NoBackoff(), 0),
    }
    if not settings.redis_sentinels:
        options |= {"host": settings.redis_host, "port": settings.redis_port}
        return Redis.from_pool(ConnectionPool(connection_class=_Connection, **options))
    addresses = [(host, int(port)) for host, _, port in (item.rpartition(":") for item in settings.redis_sentinels)]
    own_password = settings.redis_sentinel_password.get_secret_value()
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        addresses,
        sentinel_kwargs={
            "username": settings.redis_sentinel_username or None,
            "password": own_password or None,
            "socket_timeout": SENTINEL_SECONDS,
            "socket_connect_timeout": SENTINEL_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        },
    )
    # Its connections ask the sentinels anew whenever they connect, and end when their server is no primary any more.
    primary: Redis = sentinel.master_for(
        settings.redis_sentinel_service, redis_class=Redis, connection_class=_ConnectionToPrimary, **options
    )
    return primary
