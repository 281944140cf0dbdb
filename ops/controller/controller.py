"""The loop: look, decide, and, where a decision has stood long enough, repair. One repair between two looks.

There is one controller, a service with one replica, which Swarm restarts when it ends: no lease is needed. Two at the
same time, as for a moment when a lost node comes back, do each other no harm: each repair leads to the same state,
and both see whether it is there already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError

from ops.controller import log
from ops.controller.act import RepairError, act
from ops.controller.decide import decide
from ops.controller.decision import Decision
from ops.controller.look import look
from ops.controller.metrics import Metrics
from ops.controller.observation import Observation
from ops.controller.patience import Patience, Waits
from ops.controller.settings import Settings

# Without a look for so many intervals it is not well.
_MISSED_LOOKS = 3


class Controller:
    """Runs until it is cancelled. `is_well` and `state` are for those who ask meanwhile."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.metrics = Metrics(settings.mode)
        self._settings = settings
        self._clock = clock
        self._patience = Patience(
            Waits(
                looks=settings.looks,
                seconds=settings.patience_seconds,
                promote_seconds=settings.promote_patience_seconds,
                cooldown_seconds=settings.cooldown_seconds,
            )
        )
        self._looked_at = clock()
        self._seen: Observation | None = None
        self._decisions: Sequence[Decision] = ()

    @property
    def is_well(self) -> bool:
        """Whether it has looked lately. What it saw does not matter: restarting it would heal nothing."""
        longest = _MISSED_LOOKS * (self._settings.interval_seconds + 3 * self._settings.answer_seconds)
        return self._clock() - self._looked_at < longest

    @property
    def state(self) -> dict[str, Any]:
        """The last look: servers, sentinels, and what was found."""
        seen = self._seen
        return {
            "mode": self._settings.mode,
            "age_seconds": round(self._clock() - self._looked_at, 1),
            "agreed": seen.agreed if seen else None,
            "primaries": [server.address for server in seen.primaries] if seen else None,
            "servers": seen.servers if seen else (),
            "sentinels": seen.sentinels if seen else (),
            "findings": self._decisions,
        }

    async def run(self) -> None:
        """Looks every `interval_seconds`."""
        while True:
            started = self._clock()
            await self.step()
            await asyncio.sleep(max(0.0, self._settings.interval_seconds - (self._clock() - started)))

    async def step(self) -> Decision | None:
        """One look, and the repair that was due, if one was."""
        seen = await look(self._settings)
        decisions = decide(seen)
        self._tell_changes(seen, decisions)
        self._seen, self._decisions, self._looked_at = seen, decisions, self._clock()
        self.metrics.looked(seen, decisions, time.time())
        due = self._patience.ripe(decisions, self._clock())
        if due is not None:
            await self._repair(due, seen)
        return due

    async def _repair(self, decision: Decision, seen: Observation) -> None:
        assert decision.repair is not None  # noqa: S101 - only repairs become due
        self._patience.made(decision, self._clock())
        if self._settings.mode == "dry-run":
            log.line("WARNING", "would repair", decision=decision, observation=seen)
            self.metrics.repaired(decision.repair)
            return
        try:
            await act(self._settings, decision)
        except (RedisError, OSError, RepairError) as error:
            self.metrics.failed(decision.repair)
            log.line("ERROR", "repair failed", decision=decision, observation=seen, error=f"{error!r}")
            return
        self.metrics.repaired(decision.repair)
        log.line("WARNING", "repaired", decision=decision, observation=seen)

    def _tell_changes(self, seen: Observation, decisions: Sequence[Decision]) -> None:
        before = {(decision.finding, decision.subjects): decision for decision in self._decisions}
        after = {(decision.finding, decision.subjects): decision for decision in decisions}
        for key in after.keys() - before.keys():
            log.line("WARNING", "found", decision=after[key], observation=seen)
        for key in before.keys() - after.keys():
            log.line("INFO", "gone", finding=key[0], subjects=key[1])
