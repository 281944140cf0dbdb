"""What must not have happened: lost writes, duplicates, a primary beside the primary. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from ops.chaos.records import Outcome, Request, Sample, Write


def lost(writes: Iterable[Write], stored: Collection[str]) -> list[str]:
    """Acknowledged writes that are not stored. One that failed or was merely accepted is no loss."""
    return [write.id for write in writes if write.outcome is Outcome.ACKNOWLEDGED and write.id not in stored]


def lost_messages(requests: Iterable[Request], stored: Collection[str]) -> list[str]:
    """Messages whose write was answered with success and that PostgreSQL does not have."""
    known = frozenset(stored)
    return [item.content for item in requests if item.content and not item.failed and item.content not in known]


def duplicates(stored: Iterable[str]) -> list[str]:
    """Messages stored more than once, although every write carried an Idempotency-Key."""
    return [content for content, count in Counter(stored).items() if count > 1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Isolated:
    """Writes that a primary took on while it was cut off, and that are gone: how many, and until when after the cut."""

    writes: int
    seconds: float


def isolated(writes: Sequence[Write], slots: Collection[int], begin: float, stored: Collection[str]) -> Isolated:
    """What writers on the nodes `slots`, cut off at `begin`, were told was done, without a replica's word, and is gone.

    Those that are still there were taken by a primary that was the right one: before the cut, or after it healed.
    """
    gone = [
        write.at
        for write in writes
        if write.slot in slots and write.at > begin and write.outcome is Outcome.ACCEPTED and write.id not in stored
    ]
    return Isolated(writes=len(gone), seconds=max(gone, default=begin) - begin)


def two_primaries(samples: Iterable[Sample]) -> list[Sample]:
    """Moments in which one client could have written to two primaries of the same kind."""
    return [
        sample
        for sample in samples
        if len(sample.redis_primaries(writable=True)) > 1 or len(sample.postgres_primaries(writable=True)) > 1
    ]


def interleaved(writes: Iterable[Write], within_seconds: float = 10.0) -> list[str]:
    """Servers that acknowledged a write again within `within_seconds` after another one had: both took writes.

    A write counts that was tried after the other's first word. One tried before may have been done before, and its
    answer read late: by a client that stood still meanwhile, with its node.
    """
    last: dict[str, float] = {}
    current, since = "", 0.0
    found = []
    for write in sorted(writes, key=lambda item: item.at):
        if write.outcome is not Outcome.ACKNOWLEDGED or not write.server:
            continue
        if write.server != current:
            if write.server in last:
                if write.tried <= since:
                    continue
                if write.at - last[write.server] < within_seconds:
                    found.append(f"{write.server} after {current}, {write.at - since:.1f} s later")
            current, since = write.server, write.at
        last[write.server] = write.at
    return found
