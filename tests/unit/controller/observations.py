"""A cluster in order, and what can be changed in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ops.controller.decide import decide
from ops.controller.decision import Decision, Finding, Repair
from ops.controller.observation import Known, Observation, Sentinel, Server

SERVERS = ("r1:6379", "r2:6379", "r3:6379")
SENTINELS = ("s1:26379", "s2:26379", "s3:26379")
R1, R2, R3 = SERVERS
S1, S2, S3 = SENTINELS
NOBODY = "gone:6379"
ALIVE = frozenset({"slave"})
DOWN = frozenset({"slave", "s_down"})


def server(address: str, primary: str = R1) -> Server:
    """As in a cluster whose primary is `primary`, with all in the same stream."""
    is_primary = address == primary
    return Server(
        address=address,
        answers=True,
        role="master" if is_primary else "slave",
        run_id=f"run-{address}",
        follows="" if is_primary else primary,
        link_is_up=not is_primary,
        history="h1",
        offset=1000,
        replicas=2 if is_primary else 0,
        keys=10,
    )


def sentinel(address: str, primary: str = R1) -> Sentinel:
    """One that names `primary` and knows all others."""
    replicas = tuple(Known(address=other, flags=ALIVE) for other in SERVERS if other != primary)
    return Sentinel(
        address=address, answers=True, primary=primary, flags=frozenset({"master"}), others=2, replicas=replicas
    )


def seen(changes: Mapping[str, Mapping[str, Any]] | None = None, primary: str = R1) -> Observation:
    """The cluster in order, but for `changes`: address → fields."""
    changes = changes or {}
    return Observation(
        servers=tuple(dataclasses.replace(server(one, primary), **changes.get(one, {})) for one in SERVERS),
        sentinels=tuple(dataclasses.replace(sentinel(one, primary), **changes.get(one, {})) for one in SENTINELS),
    )


def silent(address: str) -> dict[str, dict[str, Any]]:
    """The changes that make a server or sentinel silent: it says nothing at all."""
    blank: Server | Sentinel = Server(address=address) if address in SERVERS else Sentinel(address=address)
    return {address: {field.name: getattr(blank, field.name) for field in dataclasses.fields(blank)}}


def following(target: str, *, up: bool = False, **more: Any) -> dict[str, Any]:
    """The fields of a replica of `target`."""
    return {"role": "slave", "follows": target, "link_is_up": up, "replicas": 0, **more}


def decisions(observation: Observation, finding: Finding) -> list[Decision]:
    """Those about that finding."""
    return [decision for decision in decide(observation) if decision.finding is finding]


def only(observation: Observation, finding: Finding) -> Decision:
    """The one decision about that finding."""
    (found,) = decisions(observation, finding)
    return found


def repairs(observation: Observation) -> list[tuple[Repair, tuple[str, ...], str]]:
    """Every repair that is called for: what, to whom, towards whom."""
    return [(d.repair, d.subjects, d.primary) for d in decide(observation) if d.repair is not None]
