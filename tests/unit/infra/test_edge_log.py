"""What the edge writes down of a request that failed: enough to find what the application says of it."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from infra import names
from tests.unit.infra.serving import serving
from tests.unit.infra.test_edge_tls import running
from tests.unit.infra.waiting import eventually

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


class Application(BaseHTTPRequestHandler):
    """Is ready; everything else fails in it."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health/ready" else 500)
        self.send_header("X-Trace-Id", TRACE_ID)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def application() -> Iterator[str]:
    with serving(Application) as address:
        yield address


def test_a_failed_request_is_logged_with_its_trace(tmp_path: Path, application: str) -> None:
    with running(tmp_path, application) as edge:
        eventually(lambda: edge.get(names.EDGE_PUBLIC_PORT, "/api/chats").status_code == 500)

        def line() -> str | None:
            found = [line for line in (tmp_path / "log").read_text().splitlines() if TRACE_ID in line]
            return found[0] if found else None

        eventually(lambda: line() is not None)
        assert "GET" in str(line())
        assert " 500 " in str(line())
