"""Composition: opens what the application needs, in order, and closes it in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.cache.pages import PageCache
from app.chats.history import ChatHistory
from app.chats.messages import MessageStore
from app.events import Listener, fan_out
from app.health.probes import Probe, http_get
from app.health.report import Health
from app.resilience.breaker import CircuitBreaker
from app.resilience.single_flight import SingleFlight
from app.resilience.timeouts import within
from app.settings import Settings
from app.storage import migrations
from app.storage import postgres as database
from app.storage.postgres import Database
from app.telemetry import logs
from app.telemetry.metrics import Metrics
from app.telemetry.statistics import Statistics
from app.web.drain import Drain

REDIS_CONNECTIONS = 50
REDIS_CHECK_SECONDS = 1.0
CLOSE_SECONDS = 1.0


@dataclass(frozen=True)
class Services:
    """What the routes and the server use."""

    emit: Listener
    drain: Drain
    metrics: Metrics
    history: ChatHistory
    health: Health


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Connect, migrate, start the background checks. Raises StartupError or MigrationError.

    Redis may be away: the service then starts without cache.
    """
    postgres = await database.connect(settings)
    redis = _redis(settings)
    tasks: list[asyncio.Task[None]] = []
    try:
        await migrations.migrate(postgres, migrations.load())
        services, loops = _wire(settings, postgres, redis)
        await asyncio.gather(services.health.postgres.once(), services.health.redis.once())
        tasks = [asyncio.create_task(loop) for loop in loops]
        yield services
    finally:
        await _cancel(tasks)
        with suppress(TimeoutError):
            await asyncio.wait_for(redis.aclose(), CLOSE_SECONDS)
        await postgres.close(CLOSE_SECONDS)


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    # Again and again: wait_for, which the drivers use, may swallow a cancellation before Python 3.12 (bpo-42130).
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.1)


def _wire(settings: Settings, postgres: Database, redis: Redis) -> tuple[Services, list[Any]]:
    metrics = Metrics(settings.version, settings.revision)
    statistics = Statistics()
    emit = fan_out(metrics.on_event, statistics.on_event, logs.on_event)
    drain = Drain()
    breaker = CircuitBreaker(
        "redis",
        emit,
        failure_threshold=settings.breaker_failure_threshold,
        open_seconds=settings.breaker_open_seconds,
    )
    metrics.watch_breaker(breaker.dependency)
    cache = PageCache(
        redis,
        breaker,
        emit,
        ttl_seconds=settings.cache_ttl_seconds,
        timeout_seconds=settings.redis_timeout_seconds,
    )
    reads: SingleFlight[bytes] = SingleFlight(emit)

    async def ping() -> None:
        await redis.ping()

    soon, later = settings.dependency_check_seconds, settings.observability_check_seconds
    health = Health(
        postgres=Probe("postgres", postgres.check, soon),
        redis=Probe("redis", lambda: within(REDIS_CHECK_SECONDS, ping), soon),
        prometheus=Probe("prometheus", _http_check(settings.prometheus_url, "/-/ready"), later),
        jaeger=Probe("jaeger", _http_check(settings.jaeger_health_url, ""), later),
        breakers=[breaker],
        cache=cache,
        reads=reads,
        statistics=statistics,
        drain=drain,
    )
    upkeep = Probe("cache upkeep", cache.maintain, soon)
    probes = (health.postgres, health.redis, health.prometheus, health.jaeger, upkeep)
    services = Services(emit, drain, metrics, ChatHistory(MessageStore(postgres), cache, reads), health)
    return services, [probe.run() for probe in probes]


def _http_check(url: str | None, path: str) -> Any:
    return None if url is None else partial(http_get, url + path)


def _redis(settings: Settings) -> Redis:
    pool = BlockingConnectionPool(
        host=settings.redis_host,
        port=settings.redis_port,
        username=settings.redis_username,
        password=settings.redis_password.get_secret_value(),
        max_connections=REDIS_CONNECTIONS,
        timeout=settings.redis_timeout_seconds,
        # Every call is limited by app.resilience.timeouts, which knows a stall of ours from one of Redis.
        socket_timeout=None,
        socket_connect_timeout=None,
        # The breaker decides about trying again; hidden retries would eat the request's time.
        retry=Retry(NoBackoff(), 0),
    )
    return Redis(connection_pool=pool)
