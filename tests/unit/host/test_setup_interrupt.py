"""When setup stops early, the programs that it waits for end, and the engine that it started stays."""

from __future__ import annotations

import subprocess
import sys

from ops import paths

STOP = """
import subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from ops.host import setup
engine = subprocess.Popen(["sleep", "600"], start_new_session=True)
started = []
def work():
    with subprocess.Popen(["sleep", "600"]) as child:
        started.append(child)
        return child.wait()
with ThreadPoolExecutor(1) as pool:
    future = pool.submit(work)
    while not started:
        pass
    setup.abandon(future)
    print(future.result(timeout=60), engine.poll())
engine.kill()
engine.wait()
"""


def test_what_was_started_for_the_other_thread_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOP], cwd=paths.REPO, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "-15 None\n", done.stderr
