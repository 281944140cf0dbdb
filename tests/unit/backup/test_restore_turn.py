"""What a restore begins with, without a repository."""

from __future__ import annotations

import dataclasses
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from ops.backup import jobs as jobs_module
from ops.backup import restore, state, wal
from ops.backup.errors import BusyError, RequestError
from ops.backup.jobs import Jobs
from ops.backup.restic import Restic
from ops.backup.settings import Settings
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


@pytest.mark.parametrize(("epoch", "kib_per_second"), [(None, 0), ("a", 8192)])
def test_only_the_base_without_which_nothing_can_be_restored_is_made_as_fast_as_it_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: str | None, kib_per_second: int
) -> None:
    settings = dataclasses.replace(settings_of("staging", tmp_path), upload_kib_per_second=8192)
    asked: list[int] = []

    def repository(of: Settings, *_: object) -> Restic:
        asked.append(of.upload_kib_per_second)
        return cast(Restic, types.SimpleNamespace(snapshots=refuse))

    def refuse() -> None:
        raise RequestError("far enough")

    monkeypatch.setattr(jobs_module, "repository", repository)
    monkeypatch.setattr(wal, "epoch", lambda _: epoch)
    with pytest.raises(RequestError, match="far enough"):
        Jobs(settings).backup("postgres")
    assert asked[-1] == kib_per_second


def test_the_base_after_a_restore_is_made_once_whoever_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service and the restore both want one; who waited for the other finds that it is there."""
    settings = settings_of("staging", tmp_path)
    monkeypatch.setattr(Jobs, "_postgres", lambda _: pytest.fail("a second base"))
    with state.alone(settings.data, state.JOBS, wait_seconds=0):
        waiting = threading.Timer(
            0.0, lambda: answers.append(restore.finish(Jobs(settings, wait_seconds=30), "postgres"))
        )
        answers: list[object] = []
        waiting.start()
        time.sleep(0.5)  # it waits for its turn
        settings.wal.mkdir(parents=True)
        wal.begin_epoch(settings, "made by the service", "0" * 24, {})
    waiting.join(30)
    assert answers == [{}]
