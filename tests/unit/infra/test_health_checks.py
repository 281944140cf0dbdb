"""The health check of a service whose image comes from elsewhere: the command itself, with what such an image has."""

from __future__ import annotations

import shutil
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from infra import names
from infra.plan.shared import http_check
from infra.settings import StackSettings
from ops import paths
from tests.unit.infra.conftest import read_config
from tests.unit.infra.serving import serving

ALIVE = "/alive"


class Answers(BaseHTTPRequestHandler):
    """200 for ALIVE, 503 for anything else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == ALIVE else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.mark.parametrize("tool", ["http-ok", "wget", "curl"])
def test_an_image_from_elsewhere_is_asked_by_what_it_has(tool: str, tmp_path: Path) -> None:
    """`http-ok` where it is made of one of ours, as a new version of the application is."""
    found = str(paths.REPO / "images/base/http-ok") if tool == "http-ok" else shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    (tmp_path / tool).symlink_to(found)
    with serving(Answers) as where:
        assert _asked(tmp_path, where, ALIVE).returncode == 0
        failed = _asked(tmp_path, where, "/elsewhere")
        assert failed.returncode != 0
        # Not what other tools there are not.
        assert "not found" not in failed.stdout + failed.stderr


def test_an_image_that_nothing_can_ask_is_not_healthy_and_says_why(tmp_path: Path) -> None:
    done = _asked(tmp_path, "127.0.0.1:9", ALIVE)
    assert (done.returncode, "neither http-ok nor wget nor curl" in done.stdout) == (1, True)


def _asked(tools: Path, where: str, path: str) -> subprocess.CompletedProcess[str]:
    settings = StackSettings.from_config({**read_config("prod"), "pidea:images": {names.APP: "example.org/app:1"}})
    shell, command = http_check(settings, names.APP, int(where.rpartition(":")[2]), path, 30).command
    assert shell == "CMD-SHELL"
    return subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": str(tools)}, capture_output=True, text=True, timeout=30, check=False
    )
