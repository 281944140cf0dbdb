"""A restore into PostgreSQL's cluster: one member gets the files and becomes the primary, the others copy from it.

Whatever it is interrupted at, old and new files never meet in a running cluster: the members that are not chosen have
theirs set aside before the chosen one changes its own. What somebody starts in between serves the old rows, the
restored ones, or nothing while etcd still knows the old history. The same command then does it again.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from infra import names
from infra.spec import MIB
from ops.cluster import postgres, redis, redis_empty
from ops.cluster.members import MemberError
from ops.errors import DeployError, HostError, OpsError
from ops.stack import nodes, scale
from ops.stack import restore_steps as steps
from ops.stack.backups import Service
from ops.stack.nodes import Node
from ops.stack.restore_steps import Say
from ops.stack.volumes import Volume

_LEAD_SECONDS = 120.0
_READ_SECONDS = 60.0
_POLL_SECONDS = 0.5
# Members that start with nothing are whole after so long, and the copies at the pace of a slow disk.
_WHOLE_SECONDS = 180.0
_COPY_BYTES_PER_SECOND = 10 * MIB
SYSTEM = "LC_ALL=C pg_controldata %s | sed -n 's/^Database system identifier: *//p'"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Cluster:
    """The cluster as it was found. `volumes` are the members', and `chosen` the member that gets the files."""

    nodes: Sequence[Node]
    volumes: Mapping[str, Volume]
    chosen: str

    @property
    def others(self) -> list[str]:
        return [member for member in self.volumes if member != self.chosen]

    @property
    def data(self) -> Volume:
        return self.volumes[self.chosen]


def refuse_where_not_possible(service: Service) -> None:
    """Raises HostError, DeployError where a node, etcd or Redis is not there to be told of the restored rows."""
    _find(service)


def refuse_without_room(service: Service, *, needed_bytes: int) -> None:
    """Raises HostError where a member's volume has no room: the chosen one's beside what it has, the others' for it."""
    _refuse_without_room(_find(service), needed_bytes)


def replace(service: Service, prepared: Mapping[str, Any], say: Say) -> None:
    """Puts what was prepared in the place of what there is. Raises DeployError; then run the restore again."""
    # Found anew: while somebody was asked, another member may have become the primary.
    found = _find(service)
    _refuse_without_room(found, int(prepared["bytes"]))
    say(f"copying the restored files beside the ones in use of {found.chosen}")
    steps.ship(service, names.POSTGRES, found.data, steps.RESTORED)
    system = found.data.shell(SYSTEM % steps.RESTORED).strip()
    say(f"stopping {names.APP}")
    scale.stop(service.stack, service.plan, names.APP)
    _empty_caches(service, found)
    # The primary last: nobody is left who could take over from it.
    for member in (*found.others, found.chosen):
        say(f"stopping {member}")
        scale.stop(service.stack, service.plan, member)
    steps.end_history(service, say)
    for member in found.others:
        set_aside(found.volumes[member])
    steps.exchange_postgres(found.data)
    _begin_history(service, found.chosen, system)
    _lead(service, found, prepared, say)
    _follow(service, found, prepared, say)
    say(f"starting {names.APP}")
    scale.start(service.stack, service.plan, names.APP)
    found.data.shell(f"rm -rf {steps.RESTORED}")


def new_history(keys: str, chosen: str, system: str) -> str:
    """A transaction for `etcdctl txn`: of what Patroni keeps under `keys`, only the settings stay.

    A member whose WAL ends long before the last known place, or that was not in the last synchronous pair, may not
    lead; one with another database system ends, and an empty one that finds no system's name makes a new database. So
    the pair is the chosen member alone, and the system is the restored one.
    """
    pair = json.dumps({"leader": chosen, "sync_standby": None})
    changes = [
        f"put {keys}initialize {json.dumps(system)}",
        f"put {keys}sync {json.dumps(pair)}",
        *(f"del {keys}{name}" for name in ("leader", "status", "history", "failsafe", "failover")),
        *(f"del --prefix {keys}{name}/" for name in ("optime", "members")),
    ]
    # No conditions, and nothing else to do.
    return "\n".join(["", *changes, "", "", ""])


def choose(members: Sequence[str], primary: str | None) -> str:
    """The member that gets the files: the primary, whose old ones have every row; with none, the first."""
    return primary if primary is not None and primary in members else members[0]


def _find(service: Service) -> _Cluster:
    _etcd(service, "get", "--keys-only", f"{_keys(service)}config")
    layout = redis.layout(service.plan)
    if layout and redis.primary(layout, service.members.run) is None:
        raise DeployError("Redis has not one primary, so that its caches cannot be emptied; see `./pidea status`.")
    there = nodes.all_of(service.stack)
    volumes = dict(_volumes(service, there))
    if not volumes:
        raise HostError("No node of the swarm is one of PostgreSQL's members; see docs/runbooks/replace-node.md.")
    now = postgres.look_at_all(service.members.run, tuple(volumes))
    primary = postgres.primary_of(now)
    return _Cluster(nodes=there, volumes=volumes, chosen=choose(tuple(volumes), primary.name if primary else None))


def _refuse_without_room(found: _Cluster, needed_bytes: int) -> None:
    for member, volume in found.volumes.items():
        # Those that copy the primary give up what they have first.
        free = steps.free_bytes(volume) if member == found.chosen else steps.free_bytes(volume, "/data")
        steps.refuse_without_room(member, needed_bytes=needed_bytes, free_bytes=free)


def _volumes(service: Service, there: Sequence[Node]) -> Iterator[tuple[str, Volume]]:
    members = postgres.servers(service.plan)
    for spec in service.plan.services:
        node = next((node for node in there if node.has(spec)), None)
        if spec.name in members and node is not None:
            yield (
                spec.name,
                steps.volume(service, names.POSTGRES_DATA, names.POSTGRES_UID, spec.name, node.engine),
            )


def _empty_caches(service: Service, found: _Cluster) -> None:
    layout = redis.layout(service.plan)
    if layout:
        redis_empty.empty(layout, service.members.run)
    for node in found.nodes:
        steps.empty(steps.volume(service, names.APP_CACHE, names.APP_UID, names.APP, node.engine))


def set_aside(volume: Volume) -> None:
    """Of a member that is to copy the primary: its files may not start, but are there until the rows are seen."""
    # What an earlier run has set aside is older than what is in use.
    volume.shell(f"[ ! -e {steps.CURRENT} ] || {{ rm -rf {steps.RESTORED}; mv {steps.CURRENT} {steps.RESTORED}; }}")


def _begin_history(service: Service, chosen: str, system: str) -> None:
    said = _etcd(service, "txn", stdin=new_history(_keys(service), chosen, system))
    if not said.startswith("SUCCESS"):
        raise DeployError(f"etcd has not forgotten the old history: {said}; run the restore again.")


def _lead(service: Service, found: _Cluster, prepared: Mapping[str, Any], say: Say) -> None:
    say(f"starting {found.chosen}, the primary")
    scale.start(service.stack, service.plan, found.chosen)

    def leads() -> list[str]:
        now = postgres.look(service.members.run, found.chosen)
        return [] if now.role == "primary" else [now.problem or f"{now.name} is not the primary yet"]

    _wait(leads, f"{found.chosen} does not lead", _LEAD_SECONDS)

    def has_rows() -> list[str]:
        try:
            steps.require_rows(service, prepared)
        except OpsError as error:
            return [str(error)]
        return []

    # The roles get this stack's passwords a moment after it leads.
    _wait(has_rows, "The restored rows cannot be read", _READ_SECONDS)


def _follow(service: Service, found: _Cluster, prepared: Mapping[str, Any], say: Say) -> None:
    for member in found.others:
        # Before it copies the primary's: it has room for one of both.
        found.volumes[member].shell(f"rm -rf {steps.RESTORED}")
        say(f"starting {member}")
        scale.start(service.stack, service.plan, member)
    say("waiting until the standbys have copied the primary")
    _wait(
        lambda: postgres.problems(postgres.look_at_all(service.members.run, tuple(found.volumes))),
        "PostgreSQL is not whole",
        _WHOLE_SECONDS + len(found.others) * int(prepared["bytes"]) / _COPY_BYTES_PER_SECOND,
    )


def _keys(service: Service) -> str:
    return f"/pidea/{service.plan.instance}/"


def _etcd(service: Service, *command: str, stdin: str = "") -> str:
    said = []
    for member in [s.name for s in service.plan.services if s.name.rpartition("-")[0] == names.ETCD]:
        try:
            return service.members.run(member, ["env", "ETCDCTL_API=3", "etcdctl", *command], stdin)
        except MemberError as error:
            said.append(str(error))
    raise DeployError("\n".join(["etcd does not answer; see docs/runbooks/PideaEtcdNoLeader.md:", *said]))


def _wait(look: Callable[[], Sequence[str]], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while found := look():
        if time.monotonic() > deadline:
            raise DeployError("\n".join([f"{what} after {seconds:.0f} s; run the restore again:", *found]))
        time.sleep(_POLL_SECONDS)
