"""For how long nothing could be written. Pure."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence

from ops.chaos.records import Outcome, Write


def longest_gap(times: Sequence[float], begin: float, end: float) -> float:
    """The longest time without any of `times`, in seconds, of those that touch [begin, end].

    The last time before `begin` opens the first gap. What is still open at `end` is closed by the first time after it,
    by `end` itself where there is none: a writer that never comes back must not look like one that never stopped.
    """
    ordered = sorted(times)
    before = [time for time in ordered if time <= begin]
    after = [time for time in ordered if time >= end]
    marks = [
        before[-1] if before else begin,
        *(time for time in ordered if begin < time < end),
        after[0] if after else end,
    ]
    return max(later - earlier for earlier, later in itertools.pairwise(marks))


def write_gap(writes: Iterable[Write], begin: float, end: float, slots: frozenset[int]) -> float | None:
    """The longest gap that any writer on one of the nodes `slots` had between acknowledged writes; None: no writer.

    A writer that had written nothing before `begin` came later and says nothing about it.
    """
    acknowledged: dict[tuple[int, str], list[float]] = defaultdict(list)
    for write in writes:
        if write.outcome is Outcome.ACKNOWLEDGED and write.slot in slots:
            acknowledged[write.slot, write.writer].append(write.at)
    found = [longest_gap(times, begin, end) for times in acknowledged.values() if min(times) <= begin]
    return max(found, default=None)
