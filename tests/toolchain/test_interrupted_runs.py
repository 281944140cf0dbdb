"""What the engine starts ends with it."""

import os
import signal
import subprocess

import pytest

from tests.toolchain.conftest import Project

pytestmark = pytest.mark.toolchain


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_program_ends_with_the_engine(project: Project, number: signal.Signals) -> None:
    alive = project.folder / "alive"
    os.mkfifo(alive)
    project.write(
        "program/__main__.py",
        f"""
        import subprocess
        pipe = open({str(alive)!r}, "w", buffering=1)
        # A child of the program has the pipe open too.
        with subprocess.Popen(["sleep", "600"], stdout=pipe):
            print("up", file=pipe)
        """,
    )
    command = [str(project.toolchain.pulumi), "up", "--yes", "--skip-preview"]
    output = subprocess.DEVNULL
    with (
        subprocess.Popen(command, cwd=project.folder, env=project.env, stdout=output, stderr=output) as run,
        alive.open() as pipe,
    ):
        assert pipe.readline() == "up\n"
        run.send_signal(number)
        # Read to its end when the last process that has it open is gone.
        assert pipe.read() == ""
        assert run.wait() != 0
