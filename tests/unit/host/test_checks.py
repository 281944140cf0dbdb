"""`check` runs every linter whatever the first one says; `test` ends as pytest does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops import paths
from ops.host import checks

RUN_PYTEST = """
import sys
from pathlib import Path
from ops import paths
from ops.host import checks
paths.REPO = Path(sys.argv[1])
checks.become_pytest(sys.argv[2:], fast=False, long=False)
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(paths.REPO / ".ruff.toml", tmp_path)
    (tmp_path / ".mypy.ini").write_text("[mypy]\nstrict = True\nfiles = code.py\n")
    monkeypatch.setattr(paths, "REPO", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("code", "failed"),
    [
        ("VALUE = 1\n", []),
        ("VALUE = 1 \nimport os\nOTHER: str = 1\n", ["ruff check", "ruff format", "mypy"]),
        ('VALUE: int = "1"\n', ["mypy"]),
    ],
)
def test_every_check_runs(repository: Path, code: str, failed: list[str]) -> None:
    (repository / "code.py").write_text(code)
    assert checks.run() == failed


def start_pytest(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    # The folder has no .pytest.ini, which leaves out Dash's plugin else.
    return subprocess.Popen(
        [sys.executable, "-c", RUN_PYTEST, str(folder), "-p", "no:dash", *arguments],
        cwd=paths.REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(paths.REPO)},
    )


def test_pytests_summary_is_the_last_line_and_its_exit_code_ours(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text("def test_good(): pass\ndef test_bad(): assert False\n")
    with start_pytest(tmp_path, "-p", "no:cacheprovider") as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "1 failed, 1 passed" in out.splitlines()[-1]


def test_an_interrupt_lets_the_tests_clean_up(tmp_path: Path) -> None:
    (tmp_path / "test_long.py").write_text(
        "import pathlib, pytest, time\n"
        "here = pathlib.Path(__file__).parent\n"
        "@pytest.fixture\n"
        "def resource():\n"
        "    yield\n"
        "    (here / 'cleaned').touch()\n"
        "def test_long(resource):\n"
        "    (here / 'started').touch()\n"
        "    time.sleep(600)\n"
    )
    with start_pytest(tmp_path, "-p", "no:cacheprovider") as process:
        while not (tmp_path / "started").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "no tests ran" in out.splitlines()[-1]
    assert (tmp_path / "cleaned").exists()
