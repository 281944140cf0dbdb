"""A planned change of the Redis primary, without losing an acknowledged write."""

from __future__ import annotations

import dataclasses
import secrets
import time
from pathlib import Path
from typing import Final

from infra import names
from ops.cluster.redis import Exec, Layout, View, problems, view, violations
from ops.errors import DeployError, OpsError

_SCRIPT: Final = Path(__file__).with_suffix(".sh")
_SETTLE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandOver:
    """What was done; `milliseconds` passed from the last write at the old primary until every sentinel knew the new."""

    old: str
    new: str
    milliseconds: int


def hand_over(members: Layout, run: Exec, to: str | None = None) -> HandOver:
    """Makes `to` the primary, or the replica that is closest behind. Returns once the cluster is whole again.

    `SENTINEL FAILOVER` alone lost thousands of acknowledged writes: a sentinel that takes a replica for down leaves it
    with the old primary, where WAIT goes on succeeding. So nothing is begun unless all members are of one opinion and
    healthy, and it is Redis that swaps the roles, with every write at both; then the sentinels are told.
    Raises DeployError where the cluster is not whole, before anything is touched, or where it does not get there.
    """
    seen = view(members, run)
    if found := violations(members, seen):
        raise DeployError("\n".join(["Redis is not handed over while the cluster is not whole:", *found]))
    (old,) = seen.primaries
    new = to or _closest(members, seen, old)
    if new == old or new not in seen.servers:
        raise DeployError(f"{new} cannot take over from {old}: it is no replica of it.")
    others = [name for name in members.servers if name not in (old, new)]
    # A moderator of its own: not one of the sentinels, whose votes it asks for.
    identity, epoch = secrets.token_hex(20), max(sentinel.epoch for sentinel in seen.sentinels.values()) + 1
    told = [f"{members.host(name)}={sentinel.identity}" for name, sentinel in seen.sentinels.items()]
    hosts = [members.host(name) for name in (old, new, *others)]
    try:
        command = ["bash", "-s", "--", names.REDIS_PRIMARY, identity, str(epoch), *hosts, "--", *told]
        said = run(new, command, _SCRIPT.read_text())
    except OpsError as error:
        raise DeployError(f"Redis was not handed over from {old} to {new}: {error}") from error
    _settle(members, run)
    return HandOver(old=old, new=new, milliseconds=int(said.split()[-1]))


def _closest(members: Layout, seen: View, old: str) -> str:
    reported = seen.servers[old].reported
    return max((name for name in members.servers if name != old), key=lambda name: reported[name])


def _settle(members: Layout, run: Exec) -> None:
    deadline = time.monotonic() + _SETTLE_SECONDS
    while found := problems(members, run):
        if time.monotonic() > deadline:
            raise DeployError(
                "\n".join([f"Redis is not whole {_SETTLE_SECONDS:.0f} s after it was handed over:", *found])
            )
        time.sleep(_POLL_SECONDS)
