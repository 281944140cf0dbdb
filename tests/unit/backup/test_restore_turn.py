"""What a restore begins with, without a repository."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from ops.backup import restore, state
from ops.backup.errors import BusyError, RequestError
from ops.backup.jobs import Jobs
from ops.backup.restic import Restic
from tests.unit.backup.test_parts import settings_of


@pytest.mark.parametrize("prepare", [restore.prepare_postgres, restore.prepare_redis])
def test_snapshots_are_chosen_when_it_is_its_turn(
    tmp_path: Path, prepare: Callable[[Jobs, restore.Wanted], dict[str, Any]]
) -> None:
    """Chosen before, the tidying that was waited for may have taken them away."""
    jobs = Jobs(settings_of("prod", tmp_path))
    listed: list[object] = []

    def snapshots(*_: object) -> list[object]:
        listed.append(None)
        return []

    jobs.restic = cast(Restic, types.SimpleNamespace(snapshots=snapshots))
    with state.alone(jobs.settings.data, state.JOBS, wait_seconds=0), pytest.raises(BusyError):
        prepare(jobs, restore.Wanted())
    assert listed == []
    with pytest.raises(RequestError, match="There is no"):
        prepare(jobs, restore.Wanted())
    assert listed == [None]
