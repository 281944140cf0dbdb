"""Reads through three tiers, and what keeps them coherent.

    L1 in this process ─► L2 shared by the replicas ─► the origin ─► (only if the origin is away) L3 on disk

What a read may miss: a write on this replica, once it has returned, never. A write on another replica for as long as
its invalidation message travels (milliseconds). If the connection that brings the messages dies, L1 is emptied once
that is noticed, which takes a silent one 2 s, and from then on keeps entries for its short TTL only. If the writer
alone cannot reach Redis, this replica hears of the write when it can again, or when the longer TTL of L1 and that of
L2 are over. Stale answers come from L3 alone, only while the origin is away, and say so.

How a write beats a reader that is about to store what it read before: L1 asks for the generation, L2 for the version,
that was current *before* the origin was asked, and L3 for the time at which that began.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from app import context
from app.cache.entry import BYPASS, STORED, DurableStore, Entry, Key, Lookup, SharedTier
from app.cache.local import LocalTier
from app.context import Variant
from app.errors import DeadlineExceededError, DependencyUnavailableError
from app.events import CacheInvalidated, CacheRefreshed, Listener, ReadServed, ReadShared, Source, TierLookedUp
from app.resilience.single_flight import SingleFlight

Load = Callable[[], Awaitable[bytes | None]]

# Loaded again before it expires: on average this part of its TTL earlier, or the time that loading takes, if that is
# more. Random for each read (an exponential distribution), so that replicas do not decide it all at once.
EARLY_PART = 0.02
# Asks for what another replica is loading: soon at first, then less often.
FIRST_LOOK_SECONDS = 0.003
LAST_LOOK_SECONDS = 0.01
# Stores and refreshes that may go on behind the requests; more of them means that Redis does not keep up.
MAX_BACKGROUND = 1000


@dataclass(frozen=True, slots=True)
class Cached:
    """An answer, ready to send. `body` None: there is no such thing."""

    body: bytes | None
    source: Source
    age_seconds: float
    stale: bool


@dataclass(frozen=True, slots=True)
class _Loaded:
    entry: Entry
    source: Source
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How long entries are kept in L2, and how long a read may wait for somebody else's work."""

    l2_ttl_seconds: float
    negative_ttl_seconds: float
    dedup_timeout_seconds: float


class TieredCache:
    """`read` raises what `load` raises, and nothing of its own; `invalidate` raises nothing."""

    def __init__(
        self,
        *,
        local: LocalTier,
        shared: SharedTier,
        durable: DurableStore | None,
        lookups: SingleFlight[Lookup],
        loads: SingleFlight[_Loaded],
        limits: Limits,
        bucket_seconds: float,
        emit: Listener,
    ) -> None:
        self._local = local
        self._shared = shared
        self._durable = durable
        self._lookups = lookups
        self._loads = loads
        self._limits = limits
        self._bucket_seconds = bucket_seconds
        self._emit = emit
        self._background: set[asyncio.Task[None]] = set()

    @property
    def in_background(self) -> int:
        """Stores and refreshes that go on behind the requests."""
        return len(self._background)

    async def read(self, key: Key, load: Load) -> Cached:
        """The answer for `key` from the first tier that has it; else `load` asks the origin (None: no such thing)."""
        variant = context.variant()
        # Taken first: what a later write makes useless must not get into L1.
        generation = self._local.generation(key.group)
        if variant.l1:
            entry = self._local.get(key)
            self._emit(TierLookedUp("l1", entry is not None, 0.0))
            if entry is not None:
                return self._served(_Loaded(entry, "l1"))
        lookup = BYPASS
        if variant.l2:
            if variant.dedup:
                lookup, _ = await self._lookups.run((key, generation), lambda: self._shared.lookup(key))
            else:
                lookup = await self._shared.lookup(key)
            if lookup.entry is not None:
                if variant.l1:
                    self._local.put(key, lookup.entry, generation)
                if variant.dedup and lookup.version is not None and self._is_due(lookup.entry):
                    self._behind(self._refresh(key, lookup.version, load, generation, variant))
                return self._served(_Loaded(lookup.entry, "l2"))
        if not variant.dedup:
            return self._served(await self._fill(key, lookup.version, load, generation, variant))
        # A read must not join one that began before a write that it has to see. The version tells them apart on all
        # replicas; without L2 the generation does so for this replica's writes, the time for the others'.
        epoch = lookup.version or (generation, int(time.monotonic() / self._bucket_seconds))
        loaded, joined = await self._loads.run(
            (key, epoch), lambda: self._fill(key, lookup.version, load, generation, variant)
        )
        return self._served(loaded, joined)

    async def invalidate(self, *groups: str, perhaps: bool = False) -> None:
        """Make every answer about the groups useless, on all replicas. Call it after the commit.

        `perhaps`: nobody knows whether there was one, because the origin is going away. What L3 has may be all that
        readers get for as long as it is away, so there it stays.
        """
        for group in groups:
            self._drop(group, perhaps)
            self._emit(CacheInvalidated(remote=False))
        await asyncio.gather(*(self._shared.invalidate(group, perhaps=perhaps) for group in groups))
        # Again: until L2 had the new version, a read may have put the old entry from there into L1.
        for group in groups:
            self._local.drop(group)

    def dropped_elsewhere(self, group: str, perhaps: bool) -> None:
        """Another replica has written; or `perhaps` it has, see `invalidate`."""
        self._drop(group, perhaps)

    def missed_messages(self) -> None:
        """Other replicas may have written: nothing in L1 is sure any more, and L3 is stale by its nature."""
        self._local.clear()
        self._shared.missed_messages()

    async def close(self) -> None:
        """Wait for what goes on behind the requests; it is bounded by the time limits of the tiers."""
        while self._background:
            await asyncio.wait(self._background)

    def _drop(self, group: str, perhaps: bool) -> None:
        self._local.drop(group)
        if self._durable is not None and not perhaps:
            self._durable.drop_soon(group)

    def _served(self, loaded: _Loaded, joined: bool = False) -> Cached:
        stale = loaded.source == "l3"
        self._emit(ReadServed(loaded.source, joined or loaded.shared, stale))
        age_seconds = max(0.0, time.time() - loaded.entry.stored_at)
        return Cached(loaded.entry.body, loaded.source, age_seconds, stale)

    async def _fill(self, key: Key, version: bytes | None, load: Load, generation: int, variant: Variant) -> _Loaded:
        lease = None
        if version is not None and variant.dedup:
            lease = await self._shared.lease(key, version, self._limits.dedup_timeout_seconds)
            if lease is None or lease == STORED:
                lease, found = await self._wait_for_other_replica(key, version, lease)
                if found is not None:
                    self._emit(ReadShared(across_replicas=True))
                    if variant.l1:
                        self._local.put(key, found, generation)
                    return _Loaded(found, "l2", shared=True)
        try:
            entry = await _load(load)
        except (DependencyUnavailableError, DeadlineExceededError):
            self._give_back(key, version, lease)
            last_resort = await self._from_disk(key, variant)
            if last_resort is None:
                raise
            return _Loaded(last_resort, "l3")
        except BaseException:
            self._give_back(key, version, lease)
            raise
        if variant.l1:
            self._local.put(key, entry, generation)
        if version is not None:
            self._behind(self._store(key, version, entry, generation, lease))
        if variant.l3 and self._durable is not None and entry.body is not None:
            self._durable.put_soon(key, entry)
        return _Loaded(entry, "origin")

    async def _from_disk(self, key: Key, variant: Variant) -> Entry | None:
        if self._durable is None or not variant.l3:
            return None
        began = time.perf_counter()
        entry = await self._durable.get(key)
        self._emit(TierLookedUp("l3", entry is not None, time.perf_counter() - began))
        return entry

    async def _wait_for_other_replica(
        self, key: Key, version: bytes, lease: bytes | None
    ) -> tuple[bytes | None, Entry | None]:
        """What another replica loaded; or the lease, if it gave up; or neither: go on without."""
        ends_at = time.monotonic() + min(self._limits.dedup_timeout_seconds, context.remaining_seconds())
        pause_seconds = FIRST_LOOK_SECONDS
        while time.monotonic() < ends_at:
            if lease is None:
                await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause_seconds = min(2 * pause_seconds, LAST_LOOK_SECONDS)
            lookup = await self._shared.lookup(key)
            if lookup.entry is not None:
                return None, lookup.entry
            if lookup.version != version:
                # Written in the meantime, or L2 is gone: nobody will store under this version.
                return None, None
            if lease == STORED:
                # Evicted already, or replaced by what a slower replica had read before the last write.
                return None, None
            lease = await self._shared.lease(key, version, self._limits.dedup_timeout_seconds)
            if lease is not None and lease != STORED:
                return lease, None
        return None, None

    async def _store(self, key: Key, version: bytes, entry: Entry, generation: int, lease: bytes | None) -> None:
        stored = False
        # What a write has overtaken would only take the place of what is read after it.
        if generation == self._local.generation(key.group):
            limits = self._limits
            ttl_seconds = limits.negative_ttl_seconds if entry.body is None else limits.l2_ttl_seconds
            stored = await self._shared.store(key, version, entry, ttl_seconds, lease)
        if lease is not None and not stored:
            await self._shared.release(key, version, lease)

    def _give_back(self, key: Key, version: bytes | None, lease: bytes | None) -> None:
        if lease is not None and version is not None:
            self._behind(self._shared.release(key, version, lease))

    def _is_due(self, entry: Entry) -> bool:
        if entry.body is None:
            return False
        left_seconds = self._limits.l2_ttl_seconds - (time.time() - entry.stored_at)
        early_seconds = max(entry.load_seconds, EARLY_PART * self._limits.l2_ttl_seconds)
        return left_seconds < early_seconds * -math.log(1.0 - random.random())  # noqa: S311 - not a secret

    async def _refresh(self, key: Key, version: bytes, load: Load, generation: int, variant: Variant) -> None:
        lease = await self._shared.lease(key, version, self._limits.dedup_timeout_seconds)
        if lease is None or lease == STORED:
            return
        try:
            entry = await _load(load)
        except (DependencyUnavailableError, DeadlineExceededError):
            # It was only early: the entry is good until it expires, and the next read tries again.
            await self._shared.release(key, version, lease)
            return
        self._emit(CacheRefreshed())
        if variant.l1:
            self._local.put(key, entry, generation)
        if variant.l3 and self._durable is not None and entry.body is not None:
            self._durable.put_soon(key, entry)
        await self._store(key, version, entry, generation, lease)

    def _behind(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._background) >= MAX_BACKGROUND:
            work.close()
            return

        async def unhurried() -> None:
            # The request that began it may be over long before: its deadline does not apply.
            context.use_deadline(self._limits.dedup_timeout_seconds)
            await work

        task = asyncio.create_task(unhurried())
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context_of_loop = {"message": "work behind a request failed", "exception": error, "task": task}
            asyncio.get_running_loop().call_exception_handler(context_of_loop)


async def _load(load: Load) -> Entry:
    # From before the load: what was written while it ran is not in it for sure.
    stored_at, began = time.time(), time.perf_counter()
    body = await load()
    return Entry(body, stored_at, time.perf_counter() - began)
