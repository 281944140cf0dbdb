"""Which copy of the silences a restore brings back."""

from __future__ import annotations

import datetime
import json
import types
from pathlib import Path
from typing import cast

from ops.backup import restore, state
from ops.backup.jobs import Jobs
from ops.backup.restic import Restic, Snapshot
from tests.unit.backup.test_parts import settings_of


def test_after_an_import_it_is_the_newest_of_what_was_taken_over_until_it_is_back(tmp_path: Path) -> None:
    """The stack's own copy is newer, and of an Alertmanager that has just begun."""
    jobs = Jobs(settings_of("staging", tmp_path))
    day = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
    copies = [
        Snapshot(id=name * 8, time=day + datetime.timedelta(hours=hour), about={"kind": "alertmanager"})
        for hour, name in enumerate(("old", "taken", "own"))
    ]
    jobs.restic = cast(
        Restic, types.SimpleNamespace(snapshots=lambda _: copies, dump=lambda found, _: json.dumps([found]))
    )
    state.record(jobs.settings.data, "import", silences=copies[1].id)

    def brought(at: str | None = None, snapshot: str | None = None) -> str:
        return str(restore.prepare_silences(jobs, restore.Wanted(at=at, snapshot=snapshot))["silences"][0])

    assert brought() == copies[1].id
    assert brought(snapshot=copies[0].id) == copies[0].id
    assert brought(at=(day + datetime.timedelta(minutes=30)).isoformat()) == copies[0].id
    restore.finish(jobs, "alertmanager")
    assert brought() == copies[2].id
