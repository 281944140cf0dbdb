"""Faults one after the other, drawn by chance; the same seed draws the same."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ops import console
from ops.chaos.goals import Kind
from ops.chaos.scenario import Scenario
from ops.chaos.stage import Stage

LENGTH = 4
_BETWEEN_SECONDS = (5.0, 20.0)


def drawn(seed: int, among: Sequence[Scenario]) -> Scenario:
    """A scenario of LENGTH faults of `among`, each healed before the next, with chance pauses in between."""
    chance = random.Random(seed)  # noqa: S311 - to be repeatable, not to be secret
    chosen = [chance.choice([one for one in among if not one.unavailable]) for _ in range(LENGTH)]
    pauses = [chance.uniform(*_BETWEEN_SECONDS) for _ in chosen]

    def act(stage: Stage) -> None:
        for scenario, pause in zip(chosen, pauses, strict=True):
            console.say(f"    {scenario.name}, then {pause:.0f} s")
            scenario.act(stage)
            stage.heal()
            stage.hold(pause)

    return Scenario(
        name=f"random-{seed}",
        summary="One after the other: " + ", ".join(scenario.name for scenario in chosen),
        kind=Kind.MORE,
        act=act,
        # Between two of them the stack may not be whole yet; that it never has two primaries is asked all the same.
        limits={},
    )
