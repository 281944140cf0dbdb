"""PostgreSQL is killed while it is written to, and its disk is lost: what was acknowledged and archived comes back."""

from __future__ import annotations

import random

import pytest

from tests.backup import measure
from tests.backup.stand import Stand

pytestmark = [pytest.mark.backup, pytest.mark.timeout(600)]

# `python -m tests.backup.measure` does twenty, and writes them down.
_KILLS = 3


def test_nothing_that_was_acknowledged_and_archived_is_lost(stand: Stand) -> None:
    with stand.service() as service:
        service.do("now", "postgres")
        chance = random.Random()  # noqa: S311 - no secret
        rounds = [measure.kill_once(stand, service, chance) for _ in range(_KILLS)]
    print(measure.page(rounds))
    assert sum(one.lost_archived for one in rounds) == 0
    assert max(one.gap_seconds for one in rounds) <= measure.RPO_SECONDS
    assert min(one.acknowledged for one in rounds) > 100
