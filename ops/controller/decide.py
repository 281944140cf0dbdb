"""The decision table: what was seen → what is wrong and what may be done. Pure; knows neither time nor network.

What is provably safe, and only that, gets a repair. A decision that must stand for a while is the matter of `patience`.
"""

from __future__ import annotations

from ops.controller.decide_sentinels import diverged, stale
from ops.controller.decision import Decision, Finding, Repair
from ops.controller.observation import Observation, Server


def decide(seen: Observation) -> tuple[Decision, ...]:
    """Everything that is wrong, the worst first."""
    primaries = seen.primaries
    found: list[Decision] = []
    if not primaries:
        found.append(_no_primary(seen))
    if len(primaries) > 1:
        found += _several(seen)
    primary = _to_follow(seen)
    if primary is not None:
        found += [_astray(seen, server, primary) for server in seen.servers if _is_astray(server, primary)]
    return (*found, *diverged(seen), *stale(seen))


def _no_primary(seen: Observation) -> Decision:
    """Every server is a replica of something that is no primary: none of them serves a write."""

    def leave(reason: str) -> Decision:
        subjects = tuple(server.address for server in seen.servers)
        return Decision(finding=Finding.NO_PRIMARY, subjects=subjects, reason=reason)

    silent = [server.address for server in seen.servers if not server.answers]
    if silent:
        return leave(f"{', '.join(silent)} does not answer and may be the primary, or have what the others have not")
    if not seen.has_majority:
        return leave("no majority of the sentinels answers")
    if seen.fails_over:
        return leave("a sentinel is at work on it")
    if any(server.is_busy for server in seen.servers):
        return leave("a server still loads its data or copies another's")
    abroad = [s.follows for s in seen.servers if s.link_is_up and seen.server(s.follows) is None]
    if abroad:
        return leave(f"a server copies {abroad[0]}, which is none of ours")
    best = _best(seen)
    if best is None:
        return leave("no server has all that the others have: their histories differ")
    others = tuple(server.address for server in seen.servers if server is not best)
    return Decision(
        finding=Finding.NO_PRIMARY,
        subjects=(best.address, *others),
        reason=f"all servers answer, none is the primary, and {best.address} has all that the others have",
        repair=Repair.PROMOTE,
        primary=best.address,
        witnesses=tuple(server.run_id for server in seen.servers),
    )


def _best(seen: Observation) -> Server | None:
    """The server that has all that each other has. Of equals the one that the sentinels name, else the first."""
    complete = [s for s in seen.servers if all(s.holds_all_of(other) for other in seen.servers if other is not s)]
    return max(complete, key=lambda server: server.address == seen.agreed) if complete else None


def _several(seen: Observation) -> list[Decision]:
    """Two or more take writes. Which one is right, the majority of the sentinels says."""
    primaries = seen.primaries
    right = next((server for server in primaries if server.address == seen.agreed), None)
    if right is None:
        subjects = tuple(server.address for server in primaries)
        reason = "no majority of the sentinels names one of them"
        return [Decision(finding=Finding.SEVERAL_PRIMARIES, subjects=subjects, reason=reason)]
    return [_second(seen, server, right) for server in primaries if server is not right]


def _second(seen: Observation, second: Server, right: Server) -> Decision:
    def leave(reason: str) -> Decision:
        return Decision(finding=Finding.SEVERAL_PRIMARIES, subjects=(second.address,), reason=reason)

    if seen.fails_over:
        return leave("a sentinel is at work on it")
    if second.replicas:
        return leave(f"{second.address} has replicas, which may have acknowledged its writes")
    if _would_be_emptied(second, right):
        return leave(f"{right.address} holds nothing, and {second.address} would be emptied")
    return Decision(
        finding=Finding.SEVERAL_PRIMARIES,
        subjects=(second.address,),
        reason=f"most sentinels name {right.address}, and no replica acknowledges what {second.address} accepts",
        repair=Repair.FOLLOW,
        primary=right.address,
        witnesses=(second.run_id, right.run_id),
    )


def _to_follow(seen: Observation) -> Server | None:
    """The server that replicas belong to: the only primary, agreed upon or with no other that could be hidden."""
    primaries = seen.primaries
    agreed = next((server for server in primaries if server.address == seen.agreed), None)
    if agreed is not None:
        return agreed
    return primaries[0] if len(primaries) == 1 and seen.all_answer else None


def _is_astray(server: Server, primary: Server) -> bool:
    return server.is_replica and server.follows != primary.address


def _astray(seen: Observation, server: Server, primary: Server) -> Decision:
    def leave(reason: str) -> Decision:
        return Decision(finding=Finding.REPLICA_ASTRAY, subjects=(server.address,), reason=reason)

    followed = seen.server(server.follows)
    if seen.fails_over:
        return leave("a sentinel is at work on it")
    if len(seen.primaries) > 1:
        return leave("there is more than one primary, and it may hold what the other has acknowledged")
    if server.link_is_up and (followed is None or not followed.answers):
        return leave(f"it copies {server.follows}, which does not answer here and may have acknowledged writes")
    if primary.address == seen.agreed:
        if server.history == primary.history and server.offset > primary.offset and not server.link_is_up:
            return leave(f"it has more of the same stream than {primary.address}")
    elif not primary.holds_all_of(server):
        return leave(f"the sentinels do not agree on {primary.address}, which may lack what it has")
    if _would_be_emptied(server, primary):
        return leave(f"{primary.address} holds nothing, and it would be emptied")
    return Decision(
        finding=Finding.REPLICA_ASTRAY,
        subjects=(server.address,),
        reason=f"it follows {server.follows or 'nobody'}, and the primary is {primary.address}",
        repair=Repair.FOLLOW,
        primary=primary.address,
        witnesses=(server.run_id, primary.run_id),
    )


def _would_be_emptied(server: Server, primary: Server) -> bool:
    return server.keys > 0 and primary.keys == 0
