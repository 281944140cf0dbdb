"""Redis clients as the application has them: they learn of the primary from the sentinels."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from chaos.settings import Settings

CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 1.0
SENTINEL_SECONDS = 0.5


def options(settings: Settings, *, answer_seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
    """What every connection to a Redis server is given."""
    return {
        "username": settings.redis_account.username,
        "password": settings.redis_account.password,
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": min(CONNECT_SECONDS, answer_seconds),
        # Every failure shall be seen.
        "retry": Retry(NoBackoff(), 0),
    }


def sentinel_options(settings: Settings) -> dict[str, Any]:
    """The same for a sentinel."""
    return {
        "username": settings.sentinel_account.username,
        "password": settings.sentinel_account.password,
        "socket_timeout": SENTINEL_SECONDS,
        "socket_connect_timeout": SENTINEL_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }


def sentinels(settings: Settings) -> Sentinel:
    """All of them."""
    addresses = [(host, settings.ports["sentinel"]) for host in settings.sentinels.values()]
    return Sentinel(addresses, sentinel_kwargs=sentinel_options(settings))


async def primary_host(settings: Settings, known: Sentinel | None) -> str:
    """The host of the primary. RedisError where no sentinel can name it."""
    if known is None:
        return next(iter(settings.redis.values()))
    host, _ = await known.discover_master(settings.service)
    return str(host)


def to_server(settings: Settings, host: str, **more: Any) -> Redis:
    """A client of one server, over one connection."""
    return Redis(
        host=host, port=settings.ports["redis"], single_connection_client=True, **{**options(settings), **more}
    )
