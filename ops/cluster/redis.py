"""A Redis cluster as its members describe it, and what of that is not as it should be.

Roles are the servers' own and lags are measured: a sentinel's word is compared with them, not taken for them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from infra import names
from infra.spec import DeploymentPlan
from ops.errors import OpsError

# What a replica may lack. At a usual write load it is a few KiB; a replica that lacks more is not ready to take over.
MOST_LAG_BYTES: Final = 1024 * 1024
_SECRET: Final = names.secret_path(names.REDIS_ADMIN_PASSWORD)
# Answers of several commands, a line of JSON each. The password goes through the environment of short processes.
_ASK: Final = f"""\
export REDISCLI_AUTH=$(cat {_SECRET})
port=$1; shift
for command; do
    timeout 3 redis-cli --no-auth-warning --json --user {names.REDIS_ADMIN_USERNAME} -p "$port" $command || exit 1
done
"""


class Exec(Protocol):
    """Runs a command in a member's container, as `ops.cluster.members.Members.run`. Raises OpsError."""

    def __call__(self, member: str, command: Sequence[str], stdin: str = "") -> str:
        """Its output."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """Which members there are, by their logical names."""

    instance: str
    servers: tuple[str, ...]
    sentinels: tuple[str, ...]

    def host(self, member: str) -> str:
        """The name in the network."""
        return names.physical(self.instance, member)

    def member(self, host: str) -> str:
        """The logical name of the member at `host`; `host` itself where it is none of ours."""
        return host.removeprefix(f"{self.instance}-")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """`follows` is the primary that a replica replicates from, `offset` in bytes of the replication stream.

    `good_replicas` counts those that reported within `min-replicas-max-lag`; `reported` is how far each replica was.
    """

    name: str
    role: str
    follows: str | None
    link_is_up: bool
    offset: int
    good_replicas: int
    reported: Mapping[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sentinel:
    """What a sentinel believes. Flags as Sentinel writes them: `master`, `s_down,slave`."""

    name: str
    identity: str
    epoch: int
    primary: str
    primary_flags: str
    replicas: Mapping[str, str]
    sentinels: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """The members that answered, and why the others did not."""

    servers: Mapping[str, Server]
    sentinels: Mapping[str, Sentinel]
    silent: Mapping[str, str]

    @property
    def primaries(self) -> list[str]:
        """The servers that take themselves for the primary."""
        return [name for name, server in self.servers.items() if server.role == "master"]


def layout(deployment: DeploymentPlan) -> Layout | None:
    """The plan's cluster; None where Redis is one server."""

    def of(service: str) -> tuple[str, ...]:
        return tuple(s.name for s in deployment.services if s.name.rpartition("-")[0] == service)

    if not of(names.SENTINEL):
        return None
    return Layout(instance=deployment.instance, servers=of(names.REDIS), sentinels=of(names.SENTINEL))


def view(members: Layout, run: Exec) -> View:
    """Asks every member at once; takes as long as the slowest."""
    silent: dict[str, str] = {}

    def asked(member: str) -> Server | Sentinel | None:
        try:
            return _sentinel(members, run, member) if member in members.sentinels else _server(members, run, member)
        except (OpsError, ValueError, LookupError) as error:
            silent[member] = " ".join(str(error).split()) or type(error).__name__
            return None

    everyone = (*members.servers, *members.sentinels)
    with ThreadPoolExecutor(len(everyone)) as pool:
        found = list(pool.map(asked, everyone))
    return View(
        servers={member.name: member for member in found if isinstance(member, Server)},
        sentinels={member.name: member for member in found if isinstance(member, Sentinel)},
        silent=dict(sorted(silent.items())),
    )


def primary(members: Layout, run: Exec) -> str | None:
    """The server that is the primary by its own role; None where there is none, or more than one."""
    found = view(members, run).primaries
    return found[0] if len(found) == 1 else None


def problems(members: Layout, run: Exec) -> list[str]:
    """What of the invariants does not hold, one line each."""
    return violations(members, view(members, run))


def violations(members: Layout, seen: View) -> list[str]:
    """One primary, every other server close behind it, every sentinel of that opinion and without a complaint."""
    found = [f"{name} does not answer: {why}" for name, why in seen.silent.items()]
    if len(seen.primaries) != 1:
        named = " and ".join(seen.primaries) or "no server"
        return [*found, f"{named} is primary by its own role, it must be exactly one"]
    (chief,) = seen.primaries
    others = [name for name in members.servers if name != chief]
    found += _lag(seen, chief, others)
    for sentinel in seen.sentinels.values():
        found += _opinions(members, sentinel, chief, others)
    return found


def _lag(seen: View, chief: str, others: Sequence[str]) -> list[str]:
    found = []
    server = seen.servers[chief]
    if server.good_replicas != len(others):
        found.append(f"{chief} hears {server.good_replicas} replicas, there are {len(others)}")
    for name in others:
        replica = seen.servers.get(name)
        if replica is None:
            continue
        if replica.follows != chief:
            found.append(f"{name} follows {replica.follows}, the primary is {chief}")
        elif not replica.link_is_up:
            found.append(f"{name} has no connection to its primary {chief}")
        elif server.offset - server.reported.get(name, 0) > MOST_LAG_BYTES:
            found.append(f"{name} is {server.offset - server.reported.get(name, 0)} bytes behind {chief}")
    return found


def _opinions(members: Layout, sentinel: Sentinel, chief: str, others: Sequence[str]) -> list[str]:
    if sentinel.primary != chief:
        return [f"{sentinel.name} names {sentinel.primary} as primary, which is {chief}"]
    wanted = {
        **{chief: ({chief: sentinel.primary_flags}, "master")},
        **dict.fromkeys(others, (sentinel.replicas, "slave")),
        **{name: (sentinel.sentinels, "sentinel") for name in members.sentinels if name != sentinel.name},
    }
    found = [
        f"{sentinel.name} has {name} as {known.get(name, 'unknown')}, not as {flags}"
        for name, (known, flags) in wanted.items()
        if known.get(name) != flags
    ]
    strangers = (sentinel.replicas.keys() | sentinel.sentinels.keys()) - wanted.keys()
    return [*found, *(f"{sentinel.name} knows {name}, which is not in the plan" for name in sorted(strangers))]


def answers(run: Exec, member: str, port: int, *commands: str) -> list[str]:
    """What a member answers the administrator: a line of JSON for each command, or as many as its text has."""
    return run(member, ["bash", "-c", _ASK, "ask", str(port), *commands]).splitlines()


def _server(members: Layout, run: Exec, member: str) -> Server:
    # The one answer that is text even so.
    lines = answers(run, member, names.REDIS_PORT, "INFO replication")
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    replicas = [
        dict(part.split("=", 1) for part in value.split(","))
        for key, value in info.items()
        if key.startswith("slave") and key.removeprefix("slave").isdecimal()
    ]
    return Server(
        name=member,
        role=info["role"],
        follows=members.member(info["master_host"]) if "master_host" in info else None,
        link_is_up=info.get("master_link_status") == "up",
        offset=int(info["master_repl_offset"]),
        good_replicas=int(info.get("min_slaves_good_slaves", 0)),
        reported={members.member(replica["ip"]): int(replica["offset"]) for replica in replicas},
    )


def _sentinel(members: Layout, run: Exec, member: str) -> Sentinel:
    questions = (f"SENTINEL {what} {names.REDIS_PRIMARY}" for what in ("MASTER", "REPLICAS", "SENTINELS"))
    lines = answers(run, member, names.SENTINEL_PORT, *questions, "SENTINEL MYID")
    chief, replicas, others, identity = (json.loads(line) for line in lines)
    return Sentinel(
        name=member,
        identity=str(identity),
        epoch=int(chief["config-epoch"]),
        primary=members.member(chief["ip"]),
        primary_flags=chief["flags"],
        replicas={members.member(replica["ip"]): replica["flags"] for replica in replicas},
        sentinels={members.member(other["ip"]): other["flags"] for other in others},
    )
