"""A real engine is started where none runs, also after one was killed; and what it says when it cannot start."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.errors import HostError
from ops.host import engine, swarm
from ops.host.daemon import Daemon, remove_stale_pid_files, start_process
from tests.unit.host.private_engine import PrivateEngine


@pytest.fixture
def process_called_dockerd(tmp_path: Path) -> Iterator[int]:
    program = tmp_path / "dockerd"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([program, "600"]) as process:
        while psutil.Process(process.pid).name() != "dockerd":  # for an instant it is still called as we are
            time.sleep(0.01)
        yield process.pid
        process.kill()


def ended_pid() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize("content", ["", "not a number", "another program's", "of a process that has ended"])
def test_a_stale_pid_file_is_removed(tmp_path: Path, content: str) -> None:
    known = {"another program's": str(os.getpid()), "of a process that has ended": f"{ended_pid()}\n"}
    path = tmp_path / "docker.pid"
    path.write_text(known.get(content, content))
    remove_stale_pid_files({path: "dockerd", tmp_path / "missing.pid": "containerd"})
    assert not path.exists()


def test_the_pid_file_of_a_running_engine_stays(tmp_path: Path, process_called_dockerd: int) -> None:
    path = tmp_path / "docker.pid"
    path.write_text(f"{process_called_dockerd}\n")
    remove_stale_pid_files({path: "dockerd"})
    assert path.exists()


def test_an_engine_starts_is_killed_and_starts_again(private_engine: PrivateEngine) -> None:
    first = private_engine.start()
    found = engine.look(private_engine.endpoint).engine
    assert found is not None

    assert swarm.find(found) is None
    made = swarm.ensure(found)
    assert (made.made, made.nodes) == (True, 1)
    assert swarm.ensure(found) == swarm.Swarm(made.node_id, 1, made=False)

    containerd = psutil.Process(int((private_engine.folder / "exec/containerd/containerd.pid").read_text()))
    first.kill()
    first.wait(timeout=30)
    containerd.wait(timeout=30)
    assert engine.look(private_engine.endpoint).engine is None
    # As after a reboot: the number in the file belongs to somebody else now.
    (private_engine.folder / "docker.pid").write_text(str(os.getpid()))
    second = private_engine.start()
    assert private_engine.answers()
    again = swarm.find(found)
    assert again is not None
    assert again.node_id == made.node_id
    second.terminate()
    assert second.wait(timeout=60) == 0


def test_an_engine_that_cannot_start_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of another day\n")
    if shutil.which("dockerd", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("needs dockerd")
    with pytest.raises(HostError, match="dockerd ended with exit code") as caught:
        start_process(
            Daemon(arguments=["--no-such-option"], pid_files={}, log=log),
            prefix=[],
            answers=lambda: False,
            timeout_seconds=60,
        )
    assert "unknown flag: --no-such-option" in str(caught.value)
    assert "of another day" not in str(caught.value)


def test_an_engine_that_never_answers_is_ended(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="did not answer in 0 s"):
        start_process(
            Daemon(arguments=["600"], pid_files={}, log=tmp_path / "log"),
            prefix=["sh", "-c", f"echo $$ >{tmp_path}/pid; exec sleep 600"],
            answers=lambda: False,
            timeout_seconds=0.3,
        )
