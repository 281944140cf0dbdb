"""L2: entries in Redis, shared by all replicas, safe against stale writes, never in a request's way.

How an invalidation beats a reader that is about to store what it read before: each group has a version, a
random value under a key of its own. A reader takes the version *before* it asks the origin and stores it with the
entry; an entry counts only while its version is the group's. A writer, *after* its commit, puts a new random
version. So an entry read before the commit carries an old version and is never used, however late it is stored.
Random values, not a counter: an evicted counter would start again and could revive old entries.

An invalidation that Redis did not take is kept and sent again when Redis is back; until then this process
does not use Redis for that group. Other replicas may see the group as it was for at most the TTL. The same is done with
the invalidations of the last minute when the connection was lost, since a failover may have lost them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis

from app import context
from app.cache.batch import Batch
from app.cache.codec import decode, encode
from app.cache.entry import BYPASS, STORED, Entry, Key, Lookup
from app.errors import BreakerOpenError, DeadlineExceededError, DependencyUnavailableError
from app.events import BreakerState, CacheFailed, Listener, TierLookedUp
from app.resilience.dependency import Dependency
from app.telemetry.tracing import span

T = TypeVar("T")

VERSION_BYTES = 16
MAX_PENDING = 50_000
# Much longer than a replica may be behind its primary when it takes over.
REPEATED_SECONDS = 60.0
PERHAPS = "?"
# Lookups in one round trip.
MAX_BATCH = 64
# Entries stored together must not expire together.
TTL_JITTER = 0.1


class RedisTier:
    """A SharedTier. A read takes at most `timeout_seconds` of Redis in all: half for looking, a quarter for a step
    after that."""

    def __init__(
        self,
        redis: Redis,
        dependency: Dependency,
        emit: Listener,
        *,
        sender: str,
        namespace: str,
        ttl_seconds: float,
        timeout_seconds: float,
        compress_above_bytes: int,
        max_entry_bytes: int,
    ) -> None:
        self._redis: Any = redis  # its type hints mix the sync and the async client
        self._dependency = dependency
        self._emit = emit
        self._sender = sender
        self._namespace = namespace
        self._ttl_seconds = ttl_seconds
        # Longer than that of any entry: a version that expires first makes its entries useless, never wrong.
        self._version_ttl_seconds = int(4 * ttl_seconds)
        self._timeout_seconds = timeout_seconds
        self._compress_above_bytes = compress_above_bytes
        self._max_entry_bytes = max_entry_bytes
        self._batch = Batch(self._look_up, max_size=MAX_BATCH)
        # Groups whose invalidation is still to be sent: which one of all it is, and when it is not needed any more.
        self._pending: dict[str, tuple[int, float]] = {}
        # Those that were sent lately, the oldest first, with the time until which they may have been lost.
        self._recent: dict[str, float] = {}
        self._numbers = itertools.count()
        # Those whose invalidation is on its way now.
        self._sending: dict[str, asyncio.Future[None]] = {}

    @property
    def pending_invalidations(self) -> int:
        """Invalidations that wait for Redis to come back."""
        return len(self._pending)

    async def lookup(self, key: Key) -> Lookup:
        """See SharedTier."""
        if key.group in self._pending and not await self._has_been_sent(key.group):
            return BYPASS

        async def ask() -> Lookup:
            # An experiment that switches the breaker off does so for single clients, so those travel alone.
            together = context.variant().breaker
            version, data = await self._batch.get(key) if together else (await self._look_up([key]))[0]
            if version is None:
                version = await self._dependency.call(
                    "first version", lambda: self._first_version(key.group), limit_seconds=self._timeout_seconds / 4
                )
            elif data is not None and data[:VERSION_BYTES] == version:
                return Lookup(version, decode(data[VERSION_BYTES:]))
            return Lookup(version, None)

        began = time.perf_counter()
        found = await self._quietly("lookup", ask, BYPASS)
        if found.version is not None:
            self._emit(TierLookedUp("l2", found.entry is not None, time.perf_counter() - began))
        return found

    async def _has_been_sent(self, group: str) -> bool:
        # Most are on their way: waiting a moment is cheaper than asking the origin, whose answer could not be stored.
        sending = self._sending.get(group)
        if sending is not None:
            await asyncio.wait({sending}, timeout=min(self._timeout_seconds / 4, context.remaining_seconds()))
        return group not in self._pending

    async def _look_up(self, keys: Sequence[Key]) -> list[tuple[bytes | None, bytes | None]]:
        """The version of each key's group, and its entry, in one round trip."""
        names = [name for key in keys for name in (self._version_key(key.group), self._entry_key(key))]
        # For the turn to ask too, which the limit below does not cover.
        context.use_deadline(min(context.remaining_seconds(), self._timeout_seconds))
        found = await self._dependency.call(
            "lookup", lambda: self._redis.mget(names), limit_seconds=self._timeout_seconds / 2
        )
        return list(zip(found[::2], found[1::2], strict=True))

    async def store(
        self, key: Key, version: bytes, entry: Entry, ttl_seconds: float, lease: bytes | None = None
    ) -> bool:
        """See SharedTier."""
        data = version + encode(entry, self._compress_above_bytes)
        if len(data) > self._max_entry_bytes:
            return False
        milliseconds = max(1, int(1000 * ttl_seconds * random.uniform(1 - TTL_JITTER, 1.0)))  # noqa: S311

        async def put() -> bool:
            # The entry first: who is told that it is stored looks for it.
            async with self._redis.pipeline(transaction=False) as both:
                both.set(self._entry_key(key), data, px=milliseconds)
                if lease is not None:
                    # Longer than any read takes from its lookup to its question for the lease.
                    both.set(self._lease_key(key, version), STORED, px=int(2000 * self._timeout_seconds) + 1)
                await both.execute()
            return True

        return await self._guarded("store", put, self._timeout_seconds / 2, False)

    async def invalidate(self, group: str, *, perhaps: bool = False) -> None:
        """See SharedTier."""
        # Noted first: if this call is cancelled or fails, the group stays noted.
        self._note_pending(group)
        self._sending[group] = ended = asyncio.get_running_loop().create_future()
        try:
            await self._send_invalidation(group, perhaps)
        finally:
            ended.set_result(None)
            if self._sending.get(group) is ended:
                del self._sending[group]

    async def lease(self, key: Key, version: bytes, seconds: float) -> bytes | None:
        """See SharedTier."""
        token = secrets.token_bytes(VERSION_BYTES)

        async def ask() -> bytes | None:
            name = self._lease_key(key, version)
            held = await self._redis.set(name, token, nx=True, get=True, px=max(1, int(1000 * seconds)))
            return token if held is None else STORED if held == STORED else None

        return await self._guarded("lease", ask, self._timeout_seconds / 4, token)

    async def release(self, key: Key, version: bytes, token: bytes) -> None:
        """See SharedTier.

        Not compared and deleted in one step, which would need scripts: who held a lease for longer than it lasts may
        delete its successor's, and then one load too many happens. Nothing wrong can come of it.
        """
        del token

        async def give_back() -> None:
            await self._redis.delete(self._lease_key(key, version))

        await self._guarded("release", give_back, self._timeout_seconds / 4, None)

    async def maintain(self) -> None:
        """Send failed invalidations again; let the breaker find out without traffic that Redis is back."""
        now = asyncio.get_running_loop().time()
        for group, (_, needless_after) in list(self._pending.items()):
            if now >= needless_after:
                self._pending.pop(group, None)
            elif not await self._send_invalidation(group):
                return
        if self._dependency.breaker.state is not BreakerState.CLOSED:
            await self._guarded("ping", self._redis.ping, self._timeout_seconds, None)

    def missed_messages(self) -> None:
        """See SharedTier.

        A replica that became the primary may never have heard of the last invalidations, and hold what they made
        useless, with a version that fits. So they are sent again; until they are, the groups are passed by.
        """
        now = asyncio.get_running_loop().time()
        for group, until in self._recent.items():
            if now < until:
                self._note_pending(group)
        self._recent.clear()

    async def _first_version(self, group: str) -> bytes:
        version = secrets.token_bytes(VERSION_BYTES)
        # NX with GET: of several readers at once all use the one that came first.
        earlier: bytes | None = await self._redis.set(
            self._version_key(group), version, nx=True, get=True, ex=self._version_ttl_seconds
        )
        return earlier or version

    def _note_pending(self, group: str) -> None:
        self._pending.pop(group, None)
        if len(self._pending) >= MAX_PENDING:
            self._pending.pop(next(iter(self._pending)))
        self._pending[group] = (next(self._numbers), asyncio.get_running_loop().time() + self._ttl_seconds)

    def _note_recent(self, group: str) -> None:
        now = asyncio.get_running_loop().time()
        self._recent.pop(group, None)
        self._recent[group] = now + REPEATED_SECONDS
        while self._recent:
            oldest = next(iter(self._recent))
            if now < self._recent[oldest] and len(self._recent) <= MAX_PENDING:
                break
            del self._recent[oldest]

    async def _send_invalidation(self, group: str, perhaps: bool = False) -> bool:
        noted = self._pending.get(group)

        async def put() -> bool:
            # The new version before the message: who hears the message and looks again must find the new version.
            async with self._redis.pipeline(transaction=True) as both:
                both.set(self._version_key(group), secrets.token_bytes(VERSION_BYTES), ex=self._version_ttl_seconds)
                both.publish(channel(self._namespace), message(self._sender, group, perhaps))
                await both.execute()
            return True

        sent = await self._guarded("invalidate", put, self._timeout_seconds, False)
        if sent:
            self._note_recent(group)
        # A write that came in the meantime has noted the group anew and sends its own.
        if sent and self._pending.get(group) == noted:
            self._pending.pop(group, None)
        return sent

    async def _guarded(
        self, operation: str, call: Callable[[], Coroutine[Any, Any, T]], timeout_seconds: float, otherwise: T
    ) -> T:
        return await self._quietly(
            operation, lambda: self._dependency.call(operation, call, limit_seconds=timeout_seconds), otherwise
        )

    async def _quietly(self, operation: str, call: Callable[[], Coroutine[Any, Any, T]], otherwise: T) -> T:
        with span(f"cache l2 {operation}", {"db.system.name": "redis"}) as current:
            try:
                return await call()
            except BreakerOpenError:
                current.set_attribute("pidea.breaker.open", True)
            except (DependencyUnavailableError, DeadlineExceededError) as error:
                self._emit(CacheFailed("l2", operation, str(error)))
            return otherwise

    def _version_key(self, group: str) -> str:
        return f"{self._namespace}:version:{group}"

    def _entry_key(self, key: Key) -> str:
        return f"{self._namespace}:entry:{key.group}:{key.item}"

    def _lease_key(self, key: Key, version: bytes) -> str:
        return f"{self._namespace}:lease:{key.group}:{key.item}:{version.hex()}"


def channel(namespace: str) -> str:
    """Where invalidations are published, each as a `message`."""
    return f"{namespace}:invalidations"


def message(sender: str, group: str, perhaps: bool) -> str:
    """`sender group`, or `sender? group` where nobody knows whether the write happened."""
    return f"{sender}{PERHAPS if perhaps else ''} {group}"
