"""What was found, and what is to be done about it. Frozen data."""

from __future__ import annotations

import dataclasses
import enum


class Finding(enum.StrEnum):
    """What is wrong. The values are those of the metric's label."""

    NO_PRIMARY = "no_primary"
    SEVERAL_PRIMARIES = "several_primaries"
    REPLICA_ASTRAY = "replica_astray"
    SENTINEL_DIVERGED = "sentinel_diverged"
    SENTINEL_STALE = "sentinel_stale"


class Repair(enum.StrEnum):
    """What can be done. The values are those of the metric's label."""

    PROMOTE = "promote"  # make a replica the primary, and all others its replicas
    FOLLOW = "follow"  # make a server the primary's replica
    MONITOR = "monitor"  # have sentinels watch the primary, in place of what they watched
    RESET = "reset"  # have a sentinel forget what it knows of replicas and sentinels, and find them anew


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """One finding. `subjects` are the addresses that it is about, and that a repair is done to.

    `repair` None means: tell, and leave it alone; `reason` says why. `primary` is the address that the repair leads to.
    `witnesses` are the run ids that it rests on: with another process behind an address, all is to be seen anew.
    """

    finding: Finding
    subjects: tuple[str, ...]
    reason: str
    repair: Repair | None = None
    primary: str = ""
    witnesses: tuple[str, ...] = ()
