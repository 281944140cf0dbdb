"""The server that replays the WAL of a base, without a server."""

from __future__ import annotations

import datetime
import types
from pathlib import Path
from typing import cast

import pytest

from ops.backup import drill, process, recovery
from ops.backup.catalog import Reach
from ops.backup.restic import Restic
from tests.unit.backup.test_parts import settings_of


def test_what_a_standby_gave_is_restored_as_a_server_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a standby it would wait for more WAL after the last."""

    def unpack(_restic: object, _reach: object, _folder: Path, files: Path) -> None:
        files.mkdir()
        for name in ("PG_VERSION", "standby.signal"):
            (files / name).touch()

    monkeypatch.setattr(recovery, "_unpack", unpack)
    monkeypatch.setattr(recovery, "needed_bytes", lambda *_: 0)
    monkeypatch.setattr(process, "run", lambda *_, **__: "")
    reach = cast(Reach, types.SimpleNamespace(last="0/5000000"))
    settings = settings_of("prod", tmp_path)
    with recovery.recovered(settings, cast(Restic, None), reach, "0/5000000", tmp_path / "made") as made:
        assert {path.name for path in made.files.iterdir()} == {"PG_VERSION", "recovery.signal"}


def test_rows_that_came_with_the_last_wal_are_no_difference_and_others_that_are_too_young_are() -> None:
    now = datetime.datetime.now(datetime.UTC)
    at = now - datetime.timedelta(minutes=5)
    row = (at + datetime.timedelta(milliseconds=90)).isoformat()
    assert drill.younger([row], at, is_last=True) == []
    assert len(drill.younger([row], at, is_last=False)) == 1
    assert drill.younger([at.isoformat()], at, is_last=False) == []
    assert len(drill.younger([(now + datetime.timedelta(hours=1)).isoformat()], at, is_last=True)) == 1
