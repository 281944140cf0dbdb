"""Faults of the backups."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infra import names
from ops.alerts.fault import Fault
from ops.alerts.scene import Scene
from ops.errors import OpsError

# In every file of the repository: which of them a drill restores from is left to chance. Twice is as before.
_FLIP = """
import pathlib
for pack in sorted(p for p in pathlib.Path('/data/repository/data').rglob('*') if p.is_file()):
    about = pack.stat()
    pack.chmod(0o600)
    with pack.open('r+b') as file:
        file.seek(about.st_size // 3)
        byte = file.read(1)
        file.seek(about.st_size // 3)
        file.write(bytes([byte[0] ^ 255]))
    pack.chmod(about.st_mode)
"""


@contextlib.contextmanager
def _flipped(scene: Scene) -> Iterator[None]:
    flip = ("/usr/bin/python3.11", "-c", _FLIP)
    scene.members.run(names.BACKUP, flip)
    try:
        yield
    finally:
        scene.members.run(names.BACKUP, flip)


@contextlib.contextmanager
def _found_by(scene: Scene, *job: str) -> Iterator[None]:
    """A job that finds the damage, and is done again once there is none."""
    try:
        # It ends with what it is there to find; what it finds is what the alert is about.
        with _flipped(scene), contextlib.suppress(OpsError):
            scene.backups.ask(*job)
        yield
    finally:
        scene.backups.ask(*job)


@contextlib.contextmanager
def _checked(scene: Scene) -> Iterator[None]:
    scene.backups.ask("now", "postgres")
    with _found_by(scene, "verify", "--share", "100%"):
        yield


@contextlib.contextmanager
def _drilled(scene: Scene) -> Iterator[None]:
    with _found_by(scene, "drill"):
        yield


DAMAGED = Fault(
    name="backup-damaged",
    summary="A byte of each file of the backup repository is not what was written when it is checked",
    alerts=("PideaBackupDamaged",),
    act=_checked,
)
DRILL_FAILED = Fault(
    name="drill-failed",
    summary="A byte of each file of the backup repository is not what was written when a drill restores from it",
    alerts=("PideaBackupDrillFailed",),
    act=_drilled,
)
