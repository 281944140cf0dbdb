"""L1: entries in this process, for a moment."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from app.cache.entry import Entry, Key

# What Python keeps beside the body: entry, key, their places in two dictionaries. Measured with tracemalloc.
OVERHEAD_BYTES = 600
# Groups whose last drop is remembered by itself.
MAX_GENERATIONS = 10_000


class LocalTier:
    """Least recently used entries go first when `max_bytes` are reached, all of them after `ttl_seconds`.

    While `is_listening` says that other replicas' writes are heard of, after `listening_ttl_seconds` if that is more;
    but not negative entries.
    A `ttl_seconds` of 0 keeps nothing.

    A group's generation changes with every drop. `put` takes the generation from before the origin was asked, and
    refuses what a drop has overtaken.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        ttl_seconds: float,
        listening_ttl_seconds: float = 0.0,
        is_listening: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._ttl_seconds = ttl_seconds
        self._listening_ttl_seconds = max(ttl_seconds, listening_ttl_seconds)
        self._is_listening = is_listening
        self._clock = clock
        # Each with the time at which it expires.
        self._entries: OrderedDict[Key, tuple[Entry, float]] = OrderedDict()
        self._groups: dict[str, set[Key]] = {}
        self._drops = 0
        self._generations: OrderedDict[str, int] = OrderedDict()
        # The generation of all groups that are not in the dictionary: it only grows, so that forgetting one makes
        # `put` refuse what it might have taken, never take what it must refuse.
        self._floor = 0
        self.bytes_used = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        """The entry, if it is there and fresh."""
        found = self._entries.get(key)
        if found is None:
            return None
        entry, expires_at = found
        if self._clock() >= expires_at:
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def generation(self, group: str) -> int:
        """A number that the next drop of the group changes."""
        return self._generations.get(group, self._floor)

    def put(self, key: Key, entry: Entry, generation: int) -> None:
        """Keep an entry that was looked for when the group had `generation`."""
        size_bytes = _size(entry)
        if self._ttl_seconds <= 0 or size_bytes > self._max_bytes or generation != self.generation(key.group):
            return
        if key in self._entries:
            self._remove(key)
        # Nothing tells when what was not there begins to be.
        told = entry.body is not None and self._is_listening()
        ttl_seconds = self._listening_ttl_seconds if told else self._ttl_seconds
        self._entries[key] = (entry, self._clock() + ttl_seconds)
        self._groups.setdefault(key.group, set()).add(key)
        self.bytes_used += size_bytes
        while self.bytes_used > self._max_bytes:
            self._remove(next(iter(self._entries)))

    def drop(self, group: str) -> None:
        """Forget the group, and what is on its way into it."""
        self._drops += 1
        self._generations[group] = self._drops
        self._generations.move_to_end(group)
        if len(self._generations) > MAX_GENERATIONS:
            _, self._floor = self._generations.popitem(last=False)
        for key in tuple(self._groups.get(group, ())):
            self._remove(key)

    def clear(self) -> None:
        """Forget everything, and what is on its way."""
        self._drops += 1
        self._floor = self._drops
        self._generations.clear()
        self._entries.clear()
        self._groups.clear()
        self.bytes_used = 0

    def _remove(self, key: Key) -> None:
        entry, _ = self._entries.pop(key)
        self.bytes_used -= _size(entry)
        keys = self._groups[key.group]
        keys.discard(key)
        if not keys:
            del self._groups[key.group]


def _size(entry: Entry) -> int:
    return OVERHEAD_BYTES + len(entry.body or b"")
