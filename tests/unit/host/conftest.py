"""Engines for the tests: a tiny server that answers as an engine would, and a real private one."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops.host.daemon import SEARCH_PATH
from ops.host.endpoint import Endpoint
from tests.unit.host.private_engine import PrivateEngine

Answer = tuple[int, Any]
MakeEngine = Callable[[Mapping[str, Answer]], Endpoint]


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("unix", 0)  # the HTTP handler expects an address of two parts


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket, and that other users may enter."""
    folder = Path(tempfile.mkdtemp(prefix="pd-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fake_engine(socket_folder: Path) -> Iterator[MakeEngine]:
    """Makes an HTTP server on a socket that answers each path, without its version prefix, with a status and JSON."""
    with contextlib.ExitStack() as stack:

        def make(answers: Mapping[str, Answer]) -> Endpoint:
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    path = self.path.partition("?")[0]
                    path = "/" + path.split("/", 2)[2] if path.startswith("/v1.") else path
                    status, answer = answers.get(path, (404, {"message": "page not found"}))
                    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                do_POST = do_GET  # noqa: N815 - the name that the base class looks for

                def log_message(self, format: str, *args: object) -> None:
                    pass

            server = stack.enter_context(_Server(str(socket_folder / "docker.sock"), Handler))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return Endpoint(f"unix://{socket_folder / 'docker.sock'}", "test")

        yield make


@pytest.fixture
def private_engine(socket_folder: Path) -> Iterator[PrivateEngine]:
    """A real engine to start; ended afterwards."""
    if os.geteuid() != 0 or not all(shutil.which(name, path=SEARCH_PATH) for name in ("dockerd", "unshare", "ip")):
        pytest.skip("needs root, dockerd, unshare and ip")
    private = PrivateEngine(socket_folder)
    yield private
    private.stop()
    for mount in psutil.disk_partitions(all=True):
        if Path(mount.mountpoint).is_relative_to(socket_folder):
            subprocess.run(["umount", "-l", mount.mountpoint], check=False)
