"""What a script sees of the commands: exit codes, JSON on standard output, one sentence for an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops import paths


def pidea(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        cwd=paths.REPO,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_the_commands_in_their_order(option: str) -> None:
    done = pidea(option)
    assert done.returncode == 0
    listed = done.stdout.partition("Commands:")[2].split()
    positions = [listed.index(name) for name in ("setup", "doctor", "check", "test")]
    assert positions == sorted(positions)


def test_an_unknown_command_is_a_usage_error() -> None:
    done = pidea("launch")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'launch'" in done.stderr


def test_setup_without_docker_is_one_sentence(tmp_path: Path) -> None:
    done = pidea("setup", "--json", DOCKER_HOST=f"unix://{tmp_path}/none", XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert f"Error: Docker does not answer at unix://{tmp_path}/none (DOCKER_HOST)" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_names_what_fails_and_the_remedy(tmp_path: Path) -> None:
    done = pidea("doctor", "--json", DOCKER_HOST=f"unix://{tmp_path}/none", XDG_CACHE_HOME=str(tmp_path))
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 1
    assert checks["docker"]["status"] == "fail"
    assert checks["docker"]["fix"].startswith("Start that engine or correct the address")
    assert checks["python"]["status"] == "ok"
    assert all(check["fix"] for check in checks.values() if check["status"] != "ok")


def test_doctor_shows_a_table_too(tmp_path: Path) -> None:
    done = pidea("doctor", DOCKER_HOST=f"unix://{tmp_path}/none", XDG_CACHE_HOME=str(tmp_path), COLUMNS="200")
    assert done.returncode == 1
    assert "✗ fail  docker" in done.stdout
    assert "→ Start that engine" in done.stdout
