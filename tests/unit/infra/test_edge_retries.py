"""What becomes of a request whose replica ends without an answer: another does it, where it may be done twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

import pytest
import requests

from infra import names
from tests.unit.infra.serving import serving
from tests.unit.infra.test_edge_tls import Edge, running
from tests.unit.infra.waiting import eventually

CHATS = "/api/chats"
BODY = "x" * 5000


class Application(BaseHTTPRequestHandler):
    """Is ready, and hangs up on the first request for each path, as a replica does that is killed."""

    seen: ClassVar[dict[str, list[int]]] = {}

    def do_GET(self) -> None:
        if self.path != "/api/health/ready" and not self.seen.setdefault(self.path, []):
            self.seen[self.path].append(0)
            self.close_connection = True
            return
        self._answer()

    def do_POST(self) -> None:
        tries = self.seen.setdefault(self.path, [])
        tries.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
        if len(tries) == 1:
            self.close_connection = True
            return
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with serving(Application) as address, running(tmp_path_factory.mktemp("edge"), address) as edge:
        Application.seen["/known"] = [0]
        eventually(lambda: edge.get(names.EDGE_PUBLIC_PORT, "/known").status_code == 200)
        yield edge


def post(edge: Edge, path: str, headers: Mapping[str, str]) -> int:
    url = edge.url(names.EDGE_PUBLIC_PORT, path)
    return requests.post(url, data=BODY, headers=headers, verify=edge.authority, timeout=20).status_code


def test_a_read_is_done_by_another(edge: Edge) -> None:
    assert edge.get(names.EDGE_PUBLIC_PORT, f"{CHATS}/read").status_code == 200


def test_a_write_with_a_key_is_done_by_another_and_whole(edge: Edge) -> None:
    assert post(edge, f"{CHATS}/keyed", {"Idempotency-Key": "a"}) == 200
    assert Application.seen[f"{CHATS}/keyed"] == [len(BODY), len(BODY)]


def test_a_write_without_a_key_is_done_once(edge: Edge) -> None:
    assert post(edge, f"{CHATS}/plain", {}) == 502
    assert Application.seen[f"{CHATS}/plain"] == [len(BODY)]
