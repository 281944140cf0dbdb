"""What the cache keeps, and what each tier offers to `app.cache.tiered`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Key:
    """`group` is what a write invalidates (a chat, a client's list of chats); `item` is one answer about it.

    An item names the client that asked, so that nobody is served what somebody else may see.
    """

    group: str
    item: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached answer. `body` None is a negative entry: there is no such thing."""

    body: bytes | None
    # Wall clock, because entries outlive processes. One from the future counts as just stored.
    stored_at: float
    # What the origin needed for it: the dearer an entry, the earlier it is refreshed.
    load_seconds: float


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the shared tier said. `version` None: it was not used, and nothing may be stored in it.

    A version is a random value of the group that every write replaces. An entry counts only while the version that
    its reader saw *before* it asked the origin is still the group's; so an answer from before a write is never used,
    however late it is stored.
    """

    version: bytes | None
    entry: Entry | None


BYPASS = Lookup(None, None)
# What `SharedTier.lease` gives instead of a token when the entry has been stored under this version: look again.
STORED: Final = b"stored"


class SharedTier(Protocol):
    """L2, shared by all replicas. No method raises, and each returns within the tier's own time limit."""

    async def lookup(self, key: Key) -> Lookup:
        """The group's version and, where it is current, the entry."""
        ...

    async def store(
        self, key: Key, version: bytes, entry: Entry, ttl_seconds: float, lease: bytes | None = None
    ) -> bool:
        """Keep an entry that was loaded after `lookup` gave `version`; whether that worked.

        The lease to load it, if there is one, stays for a moment and tells that it is done: a replica that looked
        before the entry was there and asks for the lease after it must not load again.
        """
        ...

    async def invalidate(self, group: str, *, perhaps: bool = False) -> None:
        """Make all entries of the group useless here, and tell every replica. Call it after the commit.

        What cannot be sent now is kept and sent later; until then this replica does not use the tier for the group.
        `perhaps` tells the replicas that the commit may not have happened.
        """
        ...

    async def lease(self, key: Key, version: bytes, seconds: float) -> bytes | None:
        """The right to load this entry alone among all replicas, or None when another has it.

        Returns a token for `release`, or STORED. A tier that cannot tell grants the lease: a second load is better
        than none.
        """
        ...

    async def release(self, key: Key, version: bytes, token: bytes) -> None:
        """Give a lease back, unless it has expired and is somebody else's by now."""
        ...

    def missed_messages(self) -> None:
        """The tier was out of reach for a while: what was sent shortly before may be lost, and is to be sent again."""
        ...

    async def maintain(self) -> None:
        """What is to be done now and then: send what could not be sent."""
        ...


class DurableStore(Protocol):
    """L3, on disk: the last resort when the origin is away. Survives restarts of this process and of Redis."""

    async def get(self, key: Key) -> Entry | None:
        """The entry, if it is not older than the tier's TTL. Raises nothing."""
        ...

    def put_soon(self, key: Key, entry: Entry) -> None:
        """Queue an entry to be written; never waits, and drops entries rather than grow without bound."""
        ...

    def drop_soon(self, group: str) -> None:
        """Queue the removal of a group; what was queued before for the group is not written after it."""
        ...
