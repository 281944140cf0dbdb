"""What restic says where it cannot reach its repository, as people hear of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.backup import process
from ops.backup.errors import ToolError
from ops.backup.location import Location
from ops.backup.restic import Restic

_MUTE = "Fatal: unable to open repository: unable to start the sftp session, error: read |0: file already closed"
_TOLD = f"subprocess ssh: keeper@server: Permission denied (publickey).\n{_MUTE}"


def restic(tmp_path: Path) -> Restic:
    location = Location(url=str(tmp_path))
    return Restic(location, tmp_path / "password", tmp_path, instance="x", next_number=lambda: 1)


@pytest.mark.parametrize(("mute", "told"), [(0, True), (2, True), (99, False)])
def test_restic_is_asked_again_where_it_ended_before_it_passed_on_what_ssh_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mute: int, told: bool
) -> None:
    answers = iter([_MUTE] * mute + [_TOLD])

    def run(*_: object, **__: object) -> str:
        raise ToolError("restic", next(answers))

    monkeypatch.setattr(process, "run", run)
    with pytest.raises(ToolError) as caught:
        restic(tmp_path).snapshots()
    assert ("Permission denied" in str(caught.value)) is told
    assert next(answers, None) == (None if told else _MUTE)


def test_another_failure_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["Fatal: something else"])

    def run(*_: object, **__: object) -> str:
        raise ToolError("restic", next(answers))

    monkeypatch.setattr(process, "run", run)
    with pytest.raises(ToolError, match="something else"):
        restic(tmp_path).snapshots()
