"""Every scenario by its name, by theme."""

from __future__ import annotations

from ops.chaos.scenario import Scenario
from ops.chaos.scenarios import containers, network, nodes, planned, resources, sequences
from ops.errors import UsageError

ALL: tuple[Scenario, ...] = (
    *containers.SCENARIOS,
    *nodes.SCENARIOS,
    *network.SCENARIOS,
    *resources.SCENARIOS,
    *planned.SCENARIOS,
)
# One of each kind of failure, in the time that CI has.
SHORT = ("kill-redis-primary", "kill-postgres-primary", "node-redis-primary", "partition-redis-primary")
# Drawn by chance: what ends with its heal, so that the next one finds a stack that can recover.
_NOT_DRAWN = frozenset({"node-lost", "all-nodes"})


def by_name(name: str, seed: int = 1) -> Scenario:
    """The scenario; `random` is drawn by the seed. Raises UsageError for one that is not there or cannot be done."""
    if name == "random":
        return sequences.drawn(seed, [one for one in ALL if one.name not in _NOT_DRAWN])
    for scenario in ALL:
        if scenario.name == name:
            if scenario.unavailable:
                raise UsageError(f"{name} is not available: {scenario.unavailable}.")
            return scenario
    raise UsageError(f"There is no scenario {name!r}; `./pidea chaos list` shows them all.")


def suite(*, short: bool) -> list[Scenario]:
    """What `./pidea chaos suite` runs, in this order."""
    if short:
        return [by_name(name) for name in SHORT]
    return [scenario for scenario in ALL if not scenario.unavailable]
