"""What a deployment tells the dashboards, and what is said where nobody takes it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from infra import outputs as keys
from ops.stack import door, marks
from ops.stack.history import Deployment
from ops.stack.reference import resolve

DEPLOYMENT = Deployment(number=7, at="2026-11-25T16:00:00+00:00", author="kim", digest="0123456789ab", restores=5)


class Edge(HTTPServer):
    """Answers 503 until it has been asked `busy` times, then 204, and remembers what it was sent."""

    busy = 0
    taken: list[tuple[str, str | None, dict[str, Any]]]


class _Handler(BaseHTTPRequestHandler):
    server: Edge

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.busy:
            self.server.busy -= 1
            self.send_response(503)
        else:
            self.server.taken.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def edge() -> Iterator[Edge]:
    server = Edge(("127.0.0.1", 0), _Handler)
    server.taken = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with contextlib.closing(server.socket):
        yield server
        server.shutdown()
        thread.join()


def call_of(port: int) -> door.Call:
    outputs = {keys.OPERATOR_USERNAME: "operator", keys.OPERATOR_PASSWORD: "x", keys.OPERATOR_PORT: port}
    return door.caller(resolve("staging"), outputs)


def test_a_deployment_is_told_with_digest_and_author_once_the_edge_finds_the_viewer(
    edge: Edge, capsys: pytest.CaptureFixture[str]
) -> None:
    edge.busy = 1
    marks.deployed(call_of(edge.server_port), DEPLOYMENT)
    ((path, kind, event),) = edge.taken
    assert (path, kind) == ("/dashboards/api/events", "application/json")
    assert event.pop("timestamp_seconds") > 1.7e9
    assert event == {
        **{"kind": "deployment", "title": "deployment 7, back to 5"},
        **{"digest": "0123456789ab", "author": "kim"},
    }
    assert capsys.readouterr().err == ""


def test_where_nobody_takes_it_one_line_says_so_and_nothing_fails(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(marks, "_PATIENCE_SECONDS", 0.0)
    edge.busy = 100
    marks.tell(call_of(edge.server_port), "chaos", "x" * 500)
    said = " ".join(capsys.readouterr().err.split())
    assert "The dashboards do not mark this chaos: HTTP Error 503" in said
    assert edge.taken == []
