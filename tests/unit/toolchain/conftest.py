"""A machine of their own for the toolchain's tests: empty home, empty cache, a PATH with nothing of ours on it."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

Executable = Callable[[Path, str], Path]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds `home`, `cache` and `bin`; the latter is on PATH, before the system's tools."""
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "PIDEA_"))]:
        monkeypatch.delenv(name)
    for variable, name in (("HOME", "home"), ("XDG_CACHE_HOME", "cache"), ("PATH", "bin")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path


@pytest.fixture
def executable() -> Executable:
    """Writes a shell script that can be run."""

    def write(path: Path, script: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def python() -> str:
    """The interpreter that runs the tests."""
    return sys.executable


class Site:
    """A web server on the loopback interface, with a dictionary of paths and bodies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        # Paths whose answer breaks off half way.
        self.broken: set[str] = set()


@pytest.fixture
def site() -> Iterator[Site]:
    """An empty web site."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = made.files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write((body or b"")[: len(body or b"") // 2 if self.path in made.broken else None])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Site(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_url() -> str:
    """The address of a port that nothing listens on."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return f"http://127.0.0.1:{server.server_port}"
