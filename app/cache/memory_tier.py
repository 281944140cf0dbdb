"""The stand-in for Redis in embedded mode: one process, nobody to share with, the same rules."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from app.cache.entry import STORED, Entry, Key, Lookup
from app.cache.local import OVERHEAD_BYTES
from app.events import Listener, TierLookedUp

VERSION_BYTES = 16
MAX_VERSIONS = 100_000
STORED_SECONDS = 0.2


class MemoryTier:
    """A SharedTier in this process' memory, bounded in bytes."""

    def __init__(self, emit: Listener, *, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._emit = emit
        self._max_bytes = max_bytes
        self._clock = clock
        # Version, entry, and when it expires.
        self._entries: OrderedDict[Key, tuple[bytes, Entry, float]] = OrderedDict()
        self._versions: OrderedDict[str, bytes] = OrderedDict()
        self._leases: dict[tuple[Key, bytes], tuple[bytes, float]] = {}
        self.bytes_used = 0

    async def lookup(self, key: Key) -> Lookup:
        """See SharedTier."""
        version = self._versions.get(key.group)
        if version is None:
            version = self._new_version(key.group)
        found = self._entries.get(key)
        if found is not None and (found[0] != version or self._clock() >= found[2]):
            self._remove(key)
            found = None
        self._emit(TierLookedUp("l2", found is not None, 0.0))
        if found is None:
            return Lookup(version, None)
        self._entries.move_to_end(key)
        return Lookup(version, found[1])

    async def store(
        self, key: Key, version: bytes, entry: Entry, ttl_seconds: float, lease: bytes | None = None
    ) -> bool:
        """See SharedTier."""
        size_bytes = _size(entry)
        if size_bytes > self._max_bytes or self._versions.get(key.group) != version:
            return False
        if key in self._entries:
            self._remove(key)
        self._entries[key] = (version, entry, self._clock() + ttl_seconds)
        self.bytes_used += size_bytes
        while self.bytes_used > self._max_bytes:
            self._remove(next(iter(self._entries)))
        if lease is not None:
            self._leases[key, version] = (STORED, self._clock() + STORED_SECONDS)
        return True

    async def invalidate(self, group: str, *, perhaps: bool = False) -> None:
        """See SharedTier."""
        del perhaps
        self._new_version(group)

    async def lease(self, key: Key, version: bytes, seconds: float) -> bytes | None:
        """See SharedTier."""
        now = self._clock()
        if len(self._leases) >= MAX_VERSIONS:
            self._leases = {name: lease for name, lease in self._leases.items() if lease[1] > now}
        held = self._leases.get((key, version))
        if held is not None and held[1] > now:
            return STORED if held[0] == STORED else None
        token = secrets.token_bytes(VERSION_BYTES)
        self._leases[key, version] = (token, now + seconds)
        return token

    async def release(self, key: Key, version: bytes, token: bytes) -> None:
        """See SharedTier."""
        held = self._leases.get((key, version))
        if held is not None and held[0] == token:
            del self._leases[key, version]

    def missed_messages(self) -> None:
        """See SharedTier. There are none to miss within a process."""

    async def maintain(self) -> None:
        """See SharedTier: there is nothing to send."""

    def _new_version(self, group: str) -> bytes:
        version = secrets.token_bytes(VERSION_BYTES)
        self._versions[group] = version
        self._versions.move_to_end(group)
        if len(self._versions) > MAX_VERSIONS:
            # Its entries are useless from now on: the group's next version is a new one.
            self._versions.popitem(last=False)
        return version

    def _remove(self, key: Key) -> None:
        _, entry, _ = self._entries.pop(key)
        self.bytes_used -= _size(entry)


def _size(entry: Entry) -> int:
    return OVERHEAD_BYTES + len(entry.body or b"")
