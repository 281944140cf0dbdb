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


def test_rows_younger_than_the_moment_that_was_restored_are_differences() -> None:
    at = datetime.datetime.now(datetime.UTC)
    assert drill.younger([at.isoformat()], at) == []
    (line,) = drill.younger([(at + datetime.timedelta(milliseconds=90)).isoformat()], at)
    assert "is younger than" in line
