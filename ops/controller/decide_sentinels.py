"""The part of the decision table that is about the sentinels. Pure."""

from __future__ import annotations

from ops.controller.decision import Decision, Finding, Repair
from ops.controller.observation import Observation, Sentinel, Server


def diverged(seen: Observation) -> list[Decision]:
    """Sentinels that name something else than the primary."""
    answering = [sentinel for sentinel in seen.sentinels if sentinel.answers]
    primary = _proven(seen)
    if primary is None:
        # Without any primary that is the finding; whom the sentinels name is a part of it.
        return _unproven(seen, answering) if seen.primaries else []
    wrong = [sentinel for sentinel in answering if sentinel.primary != primary.address]
    if not wrong:
        return []
    subjects = tuple(sentinel.address for sentinel in wrong)
    if seen.fails_over:
        reason = "a sentinel is at work on it"
        return [Decision(finding=Finding.SENTINEL_DIVERGED, subjects=subjects, reason=reason)]
    # All at once where they are the majority: one by one, the others would talk it back into what they believe.
    named = ", ".join(sorted({sentinel.primary or "nothing" for sentinel in wrong}))
    return [
        Decision(
            finding=Finding.SENTINEL_DIVERGED,
            subjects=subjects,
            reason=f"they watch {named}, and the primary is {primary.address}",
            repair=Repair.MONITOR,
            primary=primary.address,
            witnesses=(primary.run_id,),
        )
    ]


def _unproven(seen: Observation, answering: list[Sentinel]) -> list[Decision]:
    named = {sentinel.primary for sentinel in answering}
    is_primary = {server.address for server in seen.primaries}
    if not answering or (len(named) == 1 and named <= is_primary):
        return []
    subjects = tuple(sentinel.address for sentinel in answering if sentinel.primary not in is_primary)
    reason = "which server is the primary cannot be proven"
    return [
        Decision(
            finding=Finding.SENTINEL_DIVERGED,
            subjects=subjects or tuple(sentinel.address for sentinel in answering),
            reason=reason,
        )
    ]


def _proven(seen: Observation) -> Server | None:
    """The one primary by its actual role, if the majority names it, or if nothing is left that could be another."""
    if len(seen.primaries) != 1:
        return None
    (primary,) = seen.primaries
    if primary.address == seen.agreed:
        return primary
    others = [server for server in seen.servers if server is not primary]
    all_follow = all(server.is_replica and server.link_is_up and server.follows == primary.address for server in others)
    return primary if others and all_follow else None


def stale(seen: Observation) -> list[Decision]:
    """Sentinels that know servers or sentinels that are not there, or do not know those that are."""
    primary = _proven(seen)
    if primary is None:
        return []
    found = []
    for sentinel in seen.sentinels:
        if not sentinel.answers or sentinel.primary != primary.address:
            continue
        if wrong := _wrong(seen, sentinel, primary):
            found.append(_stale(seen, sentinel, primary, wrong))
    return found


def _wrong(seen: Observation, sentinel: Sentinel, primary: Server) -> str:
    """What a sentinel knows wrongly, empty for nothing. Only what can be told from here is judged."""
    known = {replica.address: replica for replica in sentinel.replicas}
    gone = [replica.address for replica in sentinel.replicas if replica.is_down and not seen.server(replica.address)]
    if gone:
        return f"it knows {', '.join(gone)}, which is none of ours"
    replicas = [s for s in seen.servers if s.is_replica and s.link_is_up and s.follows == primary.address]
    missing = [server.address for server in replicas if server.address not in known]
    if missing:
        return f"it does not know the replica {', '.join(missing)}"
    buried = [server.address for server in replicas if known[server.address].is_down]
    if buried:
        return f"it holds {', '.join(buried)} for down, which follows the primary"
    others = len(seen.sentinels) - 1
    return f"it knows {sentinel.others} other sentinels, not {others}" if sentinel.others != others else ""


def _stale(seen: Observation, sentinel: Sentinel, primary: Server, wrong: str) -> Decision:
    def leave(reason: str) -> Decision:
        return Decision(finding=Finding.SENTINEL_STALE, subjects=(sentinel.address,), reason=f"{wrong}; {reason}")

    if not all(other.answers for other in seen.sentinels):
        return leave("not all sentinels answer, and for a moment one that forgets cannot help to choose a primary")
    if any(other.primary != primary.address for other in seen.sentinels):
        return leave("not all sentinels name the same primary")
    if seen.fails_over or any("s_down" in other.flags for other in seen.sentinels):
        return leave("a sentinel holds the primary for down")
    return Decision(
        finding=Finding.SENTINEL_STALE,
        subjects=(sentinel.address,),
        reason=wrong,
        repair=Repair.RESET,
        primary=primary.address,
        witnesses=(primary.run_id,),
    )
