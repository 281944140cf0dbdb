"""Commands end with the run that started them, and all that they started with them."""

import os
import threading
from pathlib import Path

import pytest

from ops.toolchain.errors import CommandError, ToolchainError
from ops.toolchain.process import Processes


def run(processes: Processes, script: str, folder: Path) -> None:
    processes.run(["sh", "-c", script], cwd=folder, env=os.environ, log=folder / "log")


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    processes = Processes()
    run(processes, "echo out; echo err >&2", tmp_path)
    run(processes, "echo again", tmp_path)
    assert (tmp_path / "log").read_text() == "out\nerr\nagain\n"


def test_failure_shows_the_last_lines(tmp_path: Path) -> None:
    script = "for i in $(seq 100 199); do echo line $i; done; exit 4"
    with pytest.raises(CommandError) as caught:
        run(Processes(), script, tmp_path)
    text = str(caught.value)
    assert "exit code 4" in text
    assert "line 199" in text
    assert "line 150" not in text
    assert str(tmp_path / "log") in text


def test_input_is_empty(tmp_path: Path) -> None:
    run(Processes(), "cat", tmp_path)
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize("stubborn", [False, True])
def test_cancel_ends_grandchildren_too(tmp_path: Path, stubborn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.toolchain.process._GRACE_SECONDS", 0.3)
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    # Closed, and so readable to its end, once every process of the group is gone.
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    ignore = "trap '' TERM; " if stubborn else ""
    script = f"exec 3>{alive}; ({ignore}echo up > {ready}; while :; do sleep 1; done) & {ignore}wait"
    processes = Processes()
    errors: list[Exception] = []

    def target() -> None:
        try:
            run(processes, script, tmp_path)
        except ToolchainError as error:
            errors.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    with alive.open() as pipe:
        assert ready.read_text() == "up\n"
        processes.cancel()
        thread.join(60)
        assert pipe.read() == ""
    assert "interrupted" in str(errors[0])


def test_cancelled_runs_start_nothing(tmp_path: Path) -> None:
    processes = Processes()
    processes.cancel()
    with pytest.raises(ToolchainError, match="interrupted"):
        run(processes, "echo started", tmp_path)
    assert not (tmp_path / "log").exists()
