"""The lock is held by one process, and dropped when that one is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ops import paths
from ops.host.lock import only_one

HOLD = """
import sys, time
from pathlib import Path
from ops.host.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_one_waits_until_the_first_is_gone(tmp_path: Path) -> None:
    path, told = tmp_path / "new/lock", []
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, cwd=paths.REPO, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def kill_it() -> None:
            told.append("waits")
            holder.kill()

        with only_one(path, kill_it):
            holder.wait(timeout=60)
    assert told == ["waits"]


def test_nobody_waits_for_nobody(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        with only_one(tmp_path / "lock", lambda: told.append("waits")):
            pass
    assert told == []
