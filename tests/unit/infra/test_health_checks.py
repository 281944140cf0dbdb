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
    settings = StackSettings.from_config({**read_config("prod"), "pidea:images": {names.APP: "example.org/app:1"}})

    def is_healthy(where: str, path: str) -> bool:
        port = int(where.rpartition(":")[2])
        shell, command = http_check(settings, names.APP, port, path, 30).command
        assert shell == "CMD-SHELL"
        done = subprocess.run(
            ["/bin/sh", "-c", command], env={"PATH": str(tmp_path)}, capture_output=True, timeout=30, check=False
        )
        return done.returncode == 0

    with serving(Answers) as where:
        assert is_healthy(where, ALIVE)
        assert not is_healthy(where, "/elsewhere")
