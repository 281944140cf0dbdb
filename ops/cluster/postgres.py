"""The cluster of PostgreSQL: what its members say of themselves, and the guarded hand-over of the primary.

Everything is asked inside of the members: a member's own server is asked for its role, because what Patroni or etcd
remember of it may be old.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, Protocol

from infra import names
from infra.spec import DeploymentPlan
from ops.cluster.members import MemberError
from ops.errors import DeployError

# A standby that has so much left to replay is replayed in well under a second.
MAX_LAG_BYTES: Final = 1024 * 1024
HAND_OVER_SECONDS: Final = 60.0
# A standby that was replaced has a new address. Docker on the primary's node may hear of it only when the nodes next
# exchange all they know, every half minute.
_AGREED_SECONDS: Final = 45.0
_POLL_SECONDS: Final = 0.2
_SQL: Final = """
SELECT json_build_object(
    'standby', pg_is_in_recovery(),
    'timeline', CASE WHEN pg_is_in_recovery() THEN (SELECT received_tli FROM pg_stat_wal_receiver)
        ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END,
    'source', CASE WHEN pg_is_in_recovery() THEN (SELECT sender_host FROM pg_stat_wal_receiver) END,
    'streaming', pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'),
    'standbys', (SELECT coalesce(json_object_agg(application_name, json_build_object(
        'state', state, 'sync', sync_state,
        'lag', CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) END
    )), '{}') FROM pg_stat_replication WHERE application_name LIKE 'postgres-%'))
"""
# Patroni's own login for its REST API, from the file that only this container has.
_REQUEST: Final = """
import base64, json, sys, urllib.error, urllib.request, yaml
path, method = sys.argv[1:3]
login = yaml.safe_load(open("/run/patroni/patroni.yml"))["restapi"]["authentication"]
token = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
body = sys.stdin.buffer.read() or None
request = urllib.request.Request(f"http://127.0.0.1:%d{path}", body, {"Authorization": f"Basic {token}"}, method=method)
try:
    with urllib.request.urlopen(request, timeout=50) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


class Exec(Protocol):
    """Runs a command in a member's container and gives its output; raises MemberError."""

    def __call__(self, member: str, command: Sequence[str], stdin: str = "", /) -> str: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standby:
    """A standby as its primary sees it. `lag_bytes`: what it has not replayed yet."""

    state: str
    is_synchronous: bool
    lag_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """A member as its own server describes it.

    `role` is `unknown` where the server does not answer; `standbys` are a primary's, by the member's name; `source` is
    the primary's host that a standby streams from.
    """

    name: str
    role: Literal["primary", "standby", "unknown"]
    timeline: int | None = None
    is_streaming: bool = False
    source: str | None = None
    standbys: Mapping[str, Standby] = dataclasses.field(default_factory=dict)
    problem: str = ""


def member_names(standbys: int) -> tuple[str, ...]:
    """The members of a cluster with so many standbys."""
    return tuple(names.member(names.POSTGRES, slot) for slot in range(1, standbys + 2))


def servers(deployment: DeploymentPlan) -> tuple[str, ...]:
    """The members that a plan asks for; none where PostgreSQL is one server."""
    return tuple(
        service.name
        for service in deployment.services
        if service.name.rpartition("-")[0] == names.POSTGRES and service.name.rpartition("-")[2].isdigit()
    )


def look(run: Exec, member: str) -> Member:
    """What the member's server says; a member that cannot be asked is described as such."""
    command = ("psql", "-XAtq", "--dbname=postgres", "--set=ON_ERROR_STOP=1")
    try:
        said = json.loads(run(member, command, _SQL))
    except (MemberError, ValueError) as error:
        return Member(name=member, role="unknown", problem=str(error))
    return Member(
        name=member,
        role="standby" if said["standby"] else "primary",
        timeline=said["timeline"],
        is_streaming=said["streaming"],
        source=said["source"],
        standbys={
            name: Standby(
                state=standby["state"],
                is_synchronous=standby["sync"] in {"sync", "quorum"},
                lag_bytes=int(standby["lag"] or 0),
            )
            for name, standby in said["standbys"].items()
        },
    )


def look_at_all(run: Exec, members: Sequence[str]) -> tuple[Member, ...]:
    """All of them, one after the other."""
    return tuple(look(run, member) for member in members)


def primary_of(members: Sequence[Member]) -> Member | None:
    """The one that is the primary by its actual role; None where there is none, or more than one."""
    found = [member for member in members if member.role == "primary"]
    return found[0] if len(found) == 1 else None


def problems(members: Sequence[Member]) -> list[str]:
    """What keeps the cluster from surviving the loss of its primary, one line each."""
    found = [f"{member.name}: {member.problem}" for member in members if member.role == "unknown"]
    primary = primary_of(members)
    if primary is None:
        primaries = [member.name for member in members if member.role == "primary"]
        return [*found, f"PostgreSQL has {len(primaries)} primaries ({', '.join(primaries) or 'none'}), not 1"]
    for member in members:
        if member.role != "standby":
            continue
        seen = primary.standbys.get(member.name)
        if seen is None or seen.state != "streaming" or not member.is_streaming:
            found.append(f"{member.name} does not stream from {primary.name}")
        elif seen.lag_bytes > MAX_LAG_BYTES:
            found.append(f"{member.name} is {seen.lag_bytes} bytes behind {primary.name}")
        elif member.timeline != primary.timeline:
            found.append(f"{member.name} is on timeline {member.timeline}, {primary.name} on {primary.timeline}")
    if not any(standby.is_synchronous for standby in primary.standbys.values()):
        found.append(f"no standby of {primary.name} is synchronous: its writes wait")
    return found


def candidate(members: Sequence[Member]) -> tuple[str, str]:
    """The primary, and the synchronous standby that a hand-over goes to. Raises DeployError where nothing is safe."""
    found = problems(members)
    primary = primary_of(members)
    if primary is None or found:
        raise DeployError("PostgreSQL cannot be handed over now:\n" + "\n".join(found))
    return primary.name, min(name for name, standby in primary.standbys.items() if standby.is_synchronous)


def hand_over(
    run: Exec, members: Sequence[str], *, seconds: float = HAND_OVER_SECONDS, say: Callable[[str], None] = print
) -> str:
    """Makes the synchronous standby the primary, and gives its name. No acknowledged write is lost.

    Raises DeployError before anything is touched where the cluster is not whole, and afterwards where the new primary
    and a synchronous standby are not there within `seconds`.
    """
    chosen = _begin_hand_over(run, members, say)
    deadline = time.monotonic() + seconds
    while True:
        now = look_at_all(run, members)
        primary = primary_of(now)
        if primary is not None and primary.name == chosen and not problems(now):
            return chosen
        if time.monotonic() > deadline:
            left = "\n".join(problems(now)) or f"{primary.name if primary else 'nobody'} is the primary, not {chosen}"
            raise DeployError(f"The hand-over of PostgreSQL to {chosen} is not through after {seconds:.0f} s:\n{left}")
        time.sleep(_POLL_SECONDS)


def _begin_hand_over(run: Exec, members: Sequence[str], say: Callable[[str], None]) -> str:
    deadline = time.monotonic() + _AGREED_SECONDS
    told = None
    while True:
        old, chosen = candidate(look_at_all(run, members))
        # What a shutdown would have to write is written beforehand, while writes go on.
        run(old, ("psql", "-XAtq", "--dbname=postgres", "--command", "CHECKPOINT"), "")
        if told != (told := (old, chosen)):
            say(f"handing PostgreSQL over from {old} to {chosen}")
        request = json.dumps({"leader": old, "candidate": chosen})
        answer = run(old, ("python3", "-c", _REQUEST % names.PATRONI_PORT, "/switchover", "POST"), request).strip()
        if answer.startswith("200"):
            return chosen
        # PostgreSQL names its synchronous standby a moment before etcd does, by which Patroni goes; or none reaches it.
        if not answer.startswith("412") or time.monotonic() > deadline:
            raise DeployError(f"Patroni on {old} refused the hand-over: {answer}")
        time.sleep(_POLL_SECONDS)
