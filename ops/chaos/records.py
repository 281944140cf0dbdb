"""What is seen while something is broken: writes, requests, roles, faults. Times are seconds since the epoch."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any


class Store(enum.StrEnum):
    """Who is written to by a client inside of the stack.

    REDIS follows the sentinels and asks for a replica's word (WAIT 1); STICKY stays with its connection while that
    lives and asks for nothing; POSTGRES takes whichever server can write.
    """

    REDIS = "redis"
    STICKY = "sticky"
    POSTGRES = "postgres"


class Outcome(enum.StrEnum):
    """ACKNOWLEDGED must never be lost; ACCEPTED is one server's word, no replica's; FAILED may be stored or not."""

    ACKNOWLEDGED = "acknowledged"
    ACCEPTED = "accepted"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class Write:
    """One write from node `slot`. `writer` and `number` name it, and `number` tells when it was tried, in milliseconds;
    `at` is when its answer came, `server` who gave it."""

    store: Store
    slot: int
    writer: str
    number: int
    at: float
    outcome: Outcome
    server: str = ""
    error: str = ""

    @property
    def id(self) -> str:
        """What was stored."""
        return f"{self.store}:{self.writer}:{self.number}"

    @property
    def tried(self) -> float:
        """When it was sent, or began to look for a server."""
        return self.number / 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request of a client outside. `edge` is the slot of the edge that was asked last; `status` 0: no answer.

    `client` is the edge that it stays with (`edge-2`), or `any` for one that goes to the next where it cannot connect.
    `content` is what a write appended.
    """

    client: str
    edge: int
    at: float
    seconds: float
    status: int
    error: str = ""
    content: str = ""

    @property
    def failed(self) -> bool:
        """Whether its user did not get what was asked for."""
        return not 200 <= self.status < 300


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What a client on node `slot` could see at `at`; a member that does not answer is missing.

    `redis`: member → role, and with `writable` whether it would take a write; `sentinels`: sentinel → the member that
    it names; `postgres`: member → `primary`, `primary without standbys` or `standby`; `patroni`: member → role and
    state as Patroni tells.
    """

    slot: int
    at: float
    redis: Mapping[str, Mapping[str, Any]]
    sentinels: Mapping[str, str]
    postgres: Mapping[str, str]
    patroni: Mapping[str, Mapping[str, Any]]

    def redis_primaries(self, *, writable: bool = False) -> list[str]:
        """The members that call themselves master."""
        return [
            name
            for name, seen in self.redis.items()
            if seen.get("role") == "master" and (seen.get("writable") or not writable)
        ]

    def postgres_primaries(self, *, writable: bool = False) -> list[str]:
        """The members that are not in recovery; `writable`: and whose writes somebody confirms."""
        roles = {"primary"} if writable else {"primary", "primary without standbys"}
        return [name for name, role in self.postgres.items() if role in roles]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """What was done, from `begin` to `end` (healed, or over at once). `slots` are the nodes that were taken away."""

    what: str
    begin: float
    end: float
    slots: tuple[int, ...] = ()
    # When the first of them was; other faults may have come before. None: at `begin`.
    taken: float | None = None
    # When the stack was asked for and found whole again; None where it never was.
    recovered: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """All of a run. `stored_*` is what was found afterwards; `violations` what did not hold in the end."""

    scenario: str
    begin: float
    end: float
    fault: Fault
    nodes: int
    writes: tuple[Write, ...]
    requests: tuple[Request, ...]
    samples: tuple[Sample, ...]
    stored_messages: tuple[str, ...]
    stored_redis: frozenset[str]
    stored_postgres: frozenset[str]
    violations: tuple[str, ...] = ()
    error: str = ""

    def of(self, store: Store) -> list[Write]:
        """The writes to one store, in the order of their answers."""
        return sorted((write for write in self.writes if write.store is store), key=lambda write: write.at)

    @property
    def survivors(self) -> frozenset[int]:
        """The nodes that were not taken away."""
        return frozenset(range(1, self.nodes + 1)) - set(self.fault.slots)
