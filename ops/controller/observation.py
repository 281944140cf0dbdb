"""What one look saw: each Redis server's and each sentinel's own words. Frozen data; imports nothing of ours.

Every address is `host:port`, in the words of the configuration wherever that knows the server.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

PRIMARY = "master"
REPLICA = "slave"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A Redis server, as its `INFO` tells it.

    `history` names the replication stream whose first `offset` bytes it has; before that it had the first
    `previous_end` bytes of the stream `previous_history` (-1: none). `is_busy` while it loads its file or copies its
    primary. `replicas` is how many servers are attached to it just now.
    """

    address: str
    answers: bool = False
    role: str = ""
    run_id: str = ""
    follows: str = ""
    link_is_up: bool = False
    is_busy: bool = False
    history: str = ""
    offset: int = 0
    previous_history: str = ""
    previous_end: int = -1
    replicas: int = 0
    keys: int = 0

    @property
    def is_primary(self) -> bool:
        """Whether it takes itself for one."""
        return self.answers and self.role == PRIMARY

    @property
    def is_replica(self) -> bool:
        """Whether it takes itself for one."""
        return self.answers and self.role == REPLICA

    def holds_all_of(self, other: Server) -> bool:
        """Whether `other` provably has nothing that this one has not: by the same stream, or as it has no keys."""
        if other.keys == 0 and other.answers:
            return True
        if other.history == self.history:
            return other.offset <= self.offset
        return other.history == self.previous_history and other.offset <= self.previous_end


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """What a sentinel says of another server or sentinel."""

    address: str
    flags: frozenset[str] = frozenset()

    @property
    def is_down(self) -> bool:
        """Whether the sentinel holds it for down."""
        return "s_down" in self.flags or "o_down" in self.flags


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sentinel:
    """A sentinel. `primary` is the address that it names, empty where it watches nothing of that name."""

    address: str
    answers: bool = False
    primary: str = ""
    flags: frozenset[str] = frozenset()
    config_epoch: int = 0
    others: int = 0
    replicas: tuple[Known, ...] = ()

    @property
    def fails_over(self) -> bool:
        """Whether it is about to put another in the primary's place, as far as it knows."""
        return "failover_in_progress" in self.flags


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """Every server and sentinel of the configuration, whether it answered or not."""

    servers: tuple[Server, ...]
    sentinels: tuple[Sentinel, ...]

    @property
    def primaries(self) -> tuple[Server, ...]:
        """The servers that take themselves for the primary."""
        return tuple(server for server in self.servers if server.is_primary)

    @property
    def all_answer(self) -> bool:
        """Whether no server is silent: then no other primary can be hidden behind a cut network."""
        return all(server.answers for server in self.servers)

    @property
    def agreed(self) -> str:
        """The address that more than half of all sentinels name, silent ones counted; empty where there is none."""
        named = Counter(sentinel.primary for sentinel in self.sentinels if sentinel.answers and sentinel.primary)
        address, votes = named.most_common(1)[0] if named else ("", 0)
        return address if votes * 2 > len(self.sentinels) else ""

    @property
    def has_majority(self) -> bool:
        """Whether more than half of all sentinels answer."""
        return sum(sentinel.answers for sentinel in self.sentinels) * 2 > len(self.sentinels)

    @property
    def fails_over(self) -> bool:
        """Whether a sentinel is at work: then nobody else must be."""
        return any(sentinel.fails_over for sentinel in self.sentinels)

    def server(self, address: str) -> Server | None:
        """The server at `address`; None where the configuration knows none there."""
        return next((server for server in self.servers if server.address == address), None)
