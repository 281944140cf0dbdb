"""Composition: opens what the application needs, in order, and closes it in reverse."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.cache.durable import open_tier
from app.cache.entry import SharedTier
from app.cache.invalidations import Invalidations
from app.cache.local import LocalTier
from app.cache.memory_tier import MemoryTier
from app.cache.redis_tier import RedisTier
from app.cache.tiered import Limits, TieredCache
from app.chats.history import ChatHistory
from app.chats.store import ChatStore
from app.events import Event, Listener, fan_out
from app.experience.rage import RageDetector
from app.health.askers import SILENCE_SECONDS, Askers
from app.health.probes import Probe, one_answers
from app.health.report import Health
from app.resilience.breaker import CircuitBreaker
from app.resilience.bulkhead import Bulkhead
from app.resilience.dependency import Dependency
from app.resilience.retry import RetryBudget
from app.resilience.single_flight import SingleFlight
from app.resilience.timeouts import within
from app.settings import Settings
from app.status.page import Release, make_report
from app.storage import migrations, postgres, redis, sqlite_chats
from app.storage.postgres_chats import PostgresChats
from app.telemetry import logs
from app.telemetry.loop_lag import LoopLag
from app.telemetry.metrics import Metrics
from app.telemetry.statistics import Statistics
from app.telemetry.workers import Worker
from app.web.drain import Drain

REDIS_CHECK_SECONDS = 1.0
FORGET_KEYS_SECONDS = 600.0
CLOSE_SECONDS = 1.0
# Calls of SQLite at once; it does one thing after the other, so more would only wait inside it.
SQLITE_CALLS = 8
# Waiting for one of Redis' connections; beyond it the cache is passed by, which is what it is for.
REDIS_MAX_WAITING = 1000

Loop = Coroutine[Any, Any, None]


@dataclass(frozen=True)
class Services:
    """What the routes, the middleware and the server use."""

    emit: Listener
    drain: Drain
    worker: Worker
    metrics: Metrics
    lag: LoopLag
    store: ChatStore
    history: ChatHistory
    health: Health
    status: Callable[[], dict[str, Any]]


class _Observers:
    """Who hears events, and what they know."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics(
            settings.version, settings.revision, apdex_threshold_seconds=settings.apdex_threshold_seconds
        )
        self.statistics = Statistics(
            apdex_threshold_seconds=settings.apdex_threshold_seconds,
            availability_objective=settings.availability_objective,
        )
        self.lag = LoopLag(self.metrics.loop_lag.observe)
        if settings.telemetry_enabled:
            counters = fan_out(self.metrics.on_event, self.statistics.on_event)
            rage = RageDetector(counters)
            self.emit = fan_out(counters, rage.on_event, logs.EventLog().on_event)
        else:
            self.emit = _deaf


class _Guards:
    """Makes the guarded way to a dependency, the same for all of them."""

    def __init__(self, settings: Settings, observers: _Observers) -> None:
        self._settings = settings
        self._observers = observers
        self.breakers: list[CircuitBreaker] = []

    def dependency(
        self,
        name: str,
        *,
        failures: tuple[type[Exception], ...],
        max_running: int,
        max_waiting: int,
        open_seconds: float | None = None,
    ) -> Dependency:
        settings, observers = self._settings, self._observers
        breaker = CircuitBreaker(
            name,
            observers.emit,
            failure_threshold=settings.breaker_failure_threshold,
            open_seconds=open_seconds or settings.breaker_open_seconds,
            failures=Dependency.FAILURES,
        )
        bulkhead = Bulkhead(name, max_running=max_running, max_waiting=max_waiting)
        self.breakers.append(breaker)
        observers.metrics.watch_breaker(name)
        observers.metrics.watch(f"pidea_{name}_calls_running", "Calls that run now.", lambda: bulkhead.running)
        observers.metrics.watch(f"pidea_{name}_calls_waiting", "Calls that wait for a slot.", lambda: bulkhead.waiting)
        return Dependency(
            name,
            observers.emit,
            breaker=breaker,
            bulkhead=bulkhead,
            retry_budget=RetryBudget(settings.retry_budget_ratio),
            failures=failures,
        )


@asynccontextmanager
async def open_services(settings: Settings, worker: Worker) -> AsyncIterator[Services]:
    """Connect, migrate, start the background work. Raises StartupError or MigrationError.

    Redis may be away: the service then starts without L2.
    """
    observers = _Observers(settings)
    guards = _Guards(settings, observers)
    async with AsyncExitStack() as stack:
        store, database_name = await _open_store(settings, guards, observers, stack)
        cache, redis_probe, loops = await _open_cache(settings, guards, observers, stack)
        drain = Drain()
        soon = settings.dependency_check_seconds
        health = Health(
            database=Probe(database_name, store.check, soon),
            redis=redis_probe,
            others=_observability_probes(settings),
            breakers=guards.breakers,
            cache_figures=cache.figures,
            reads_in_flight=cache.in_flight,
            statistics=observers.statistics,
            drain=drain,
            # Each process is asked its share of the questions.
            askers=Askers(SILENCE_SECONDS * worker.count),
        )
        await asyncio.gather(health.database.once(), health.redis.once())
        probes = (health.database, health.redis, *health.others)
        forget = Probe("idempotency keys", store.forget_old_keys, FORGET_KEYS_SECONDS)
        stack.push_async_callback(
            _cancel,
            [
                asyncio.create_task(loop)
                for loop in (*loops, observers.lag.run(), forget.run(), *(probe.run() for probe in probes))
            ],
        )
        release = Release(settings.version, settings.revision, settings.environment, socket.gethostname())
        yield Services(
            emit=observers.emit,
            drain=drain,
            worker=worker,
            metrics=observers.metrics,
            lag=observers.lag,
            store=store,
            history=ChatHistory(store, cache.tiered, observers.emit),
            health=health,
            status=lambda: make_report(health.report(), observers.statistics.snapshot(), release),
        )


async def _open_store(
    settings: Settings, guards: _Guards, observers: _Observers, stack: AsyncExitStack
) -> tuple[ChatStore, str]:
    ttl_seconds = settings.idempotency_key_ttl_seconds
    if settings.embedded_folder is not None:
        dependency = guards.dependency(
            "sqlite",
            failures=sqlite_chats.FAILURES,
            max_running=SQLITE_CALLS,
            max_waiting=settings.database_max_waiting,
        )
        opened = sqlite_chats.open_chats(settings.embedded_folder, dependency, idempotency_ttl_seconds=ttl_seconds)
        return await stack.enter_async_context(opened), "sqlite"
    dependency = guards.dependency(
        "postgres",
        failures=postgres.FAILURES,
        max_running=settings.database_pool_size,
        max_waiting=settings.database_max_waiting,
        open_seconds=settings.database_breaker_open_seconds,
    )
    database = await postgres.connect(settings, dependency)
    stack.push_async_callback(database.close, CLOSE_SECONDS)
    await migrations.migrate(database, migrations.load())
    observers.metrics.watch("pidea_postgres_pool_connections", "Connections of the pool.", lambda: database.size)
    observers.metrics.watch("pidea_postgres_pool_idle", "Connections nobody uses.", lambda: database.idle)
    return PostgresChats(database, idempotency_ttl_seconds=ttl_seconds), "postgres"


@dataclass(frozen=True)
class _Cache:
    tiered: TieredCache
    figures: Callable[[], Mapping[str, int]]
    in_flight: Callable[[], int]


async def _open_cache(
    settings: Settings, guards: _Guards, observers: _Observers, stack: AsyncExitStack
) -> tuple[_Cache, Probe, list[Loop]]:
    emit, metrics = observers.emit, observers.metrics
    folder = settings.l3_folder or settings.embedded_folder
    durable = None
    if folder is not None:
        durable = await stack.enter_async_context(
            open_tier(
                folder,
                emit,
                ttl_seconds=settings.l3_ttl_seconds,
                max_bytes=settings.l3_max_bytes,
                compress_above_bytes=settings.compress_above_bytes,
            )
        )
        metrics.watch("pidea_cache_l3_queued", "Changes that are not on disk yet.", lambda: durable.queued)
    listening: list[Invalidations] = []
    local = LocalTier(
        max_bytes=settings.l1_max_bytes,
        ttl_seconds=settings.l1_ttl_milliseconds / 1000,
        listening_ttl_seconds=settings.l1_listening_ttl_milliseconds / 1000,
        # Without Redis there is nobody else who could write.
        is_listening=lambda: listening[0].connected if listening else settings.embedded_folder is not None,
    )
    metrics.watch("pidea_cache_l1_bytes", "Memory that L1 takes.", lambda: local.bytes_used)

    soon = settings.dependency_check_seconds
    shared: SharedTier
    if settings.embedded_folder is not None:
        memory = MemoryTier(emit, max_bytes=settings.l2_max_bytes)
        shared, pending, redis_tier = memory, _none_pending, None
        redis_probe = Probe("redis", None, soon)
    else:
        sender = secrets.token_hex(8)
        client = redis.client(settings)
        stack.push_async_callback(_close_redis, client)
        dependency = guards.dependency(
            "redis", failures=redis.FAILURES, max_running=redis.MAX_CALLS, max_waiting=REDIS_MAX_WAITING
        )
        redis_tier = RedisTier(
            client,
            dependency,
            emit,
            sender=sender,
            namespace=settings.cache_namespace,
            ttl_seconds=settings.l2_ttl_seconds,
            timeout_seconds=settings.redis_timeout_seconds,
            compress_above_bytes=settings.compress_above_bytes,
            max_entry_bytes=settings.max_entry_bytes,
        )
        shared, pending = redis_tier, lambda: redis_tier.pending_invalidations
        redis_probe = Probe("redis", partial(_ping, client), soon)

    lookups, loads = (_flights(settings, emit) for _ in range(2))
    tiered = TieredCache(
        local=local,
        shared=shared,
        durable=durable,
        lookups=lookups,
        loads=loads,
        limits=Limits(
            l2_ttl_seconds=settings.l2_ttl_seconds,
            negative_ttl_seconds=settings.negative_ttl_seconds,
            dedup_timeout_seconds=settings.dedup_timeout_seconds,
        ),
        # Without L2, a read may miss another replica's write for as long as with L1.
        bucket_seconds=max(settings.l1_ttl_milliseconds, 1) / 1000,
        emit=emit,
    )
    metrics.watch("pidea_dedup_in_flight", "Executions that others may join.", lambda: loads.in_flight)
    metrics.watch("pidea_cache_behind_requests", "Stores and refreshes going on.", lambda: tiered.in_background)
    metrics.watch("pidea_cache_invalidations_pending", "Invalidations that wait for Redis.", pending)
    stack.push_async_callback(_close_cache, tiered)

    loops: list[Loop] = []
    if redis_tier is not None:
        messages = Invalidations(
            client,
            emit,
            sender=sender,
            namespace=settings.cache_namespace,
            on_group=tiered.dropped_elsewhere,
            on_gap=tiered.missed_messages,
        )
        listening.append(messages)
        metrics.watch("pidea_cache_invalidations_connected", "1 while they are heard.", lambda: messages.connected)
        loops = [messages.run(), Probe("cache upkeep", shared.maintain, soon).run()]
    figures = partial(_figures, local, pending)
    return _Cache(tiered, figures, lambda: loads.in_flight), redis_probe, loops


def _flights(settings: Settings, emit: Listener) -> SingleFlight[Any]:
    return SingleFlight(
        emit,
        timeout_seconds=settings.dedup_timeout_seconds,
        execution_seconds=settings.request_timeout_seconds,
        max_flights=settings.dedup_max_entries,
    )


def _figures(local: LocalTier, pending: Callable[[], int]) -> dict[str, int]:
    return {"l1Bytes": local.bytes_used, "pendingInvalidations": pending()}


def _none_pending() -> int:
    return 0


def _deaf(_: Event) -> None:
    """Nobody listens: the measure of what listening costs."""


async def _ping(client: Any) -> None:
    await within(REDIS_CHECK_SECONDS, client.ping)


def _observability_probes(settings: Settings) -> list[Probe]:
    later = settings.observability_check_seconds
    return [
        Probe("prometheus", _http_check(settings.prometheus_url, "/-/ready"), later),
        Probe("jaeger", _http_check(settings.jaeger_health_url, ""), later),
    ]


def _http_check(urls: str | Sequence[str] | None, path: str) -> Any:
    asked = [urls] if isinstance(urls, str) else urls
    return partial(one_answers, [url + path for url in asked]) if asked else None


async def _close_cache(tiered: TieredCache) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(tiered.close(), CLOSE_SECONDS)


async def _close_redis(client: Any) -> None:
    with suppress(TimeoutError, *redis.FAILURES):
        await asyncio.wait_for(client.aclose(), CLOSE_SECONDS)


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    # Again and again: wait_for, which the drivers use, may swallow a cancellation before Python 3.12 (bpo-42130).
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.1)
