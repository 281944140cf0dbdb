"""Users outside, on connections that an edge has kept and closes."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.chaos.edge import Plan
from ops.chaos.edge_users import CannotConnectError, Connections
from ops.stack.authority import make_authority, self_signed

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECONDS = 10.0


class Hasty:
    """Answers one request on each connection, and closes it without a word: neither HTTP's nor TLS' own."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.taken = 0
        self.closed = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Hasty:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS)

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.taken += 1
            plain.settimeout(SECONDS)
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with connection:
                said = chunk = connection.recv(4096)
                while chunk and not said.endswith(b"{}"):
                    said += (chunk := connection.recv(4096))
                connection.sendall(ANSWER)
            self.closed.release()


@pytest.fixture(params=["TLS", "plain"])
def hasty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Hasty, Connections]]:
    """An edge, and one user's connections to it."""
    server = client = None
    if request.param == "TLS":
        pem = tmp_path / "certificate.pem"
        pem.write_text(self_signed(make_authority("test"), [], ["127.0.0.1"]))
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pem)
        client = ssl.create_default_context(cafile=str(pem))
    with Hasty(server) as edge:
        scheme = "https" if server else "http"
        plan = Plan(run="r", edges={1: f"{scheme}://127.0.0.1:{edge.port}"}, token="t", trusted="", per_second=1.0)
        user = Connections(plan, client)
        yield edge, user
        user.close()


def test_what_finds_its_kept_connection_closed_is_sent_on_a_new_one(hasty: tuple[Hasty, Connections]) -> None:
    edge, user = hasty
    for _ in range(5):
        assert user.send(1, "POST", "/api/chats", "{}", "key") == (200, b"ok")
        assert edge.closed.acquire(timeout=SECONDS)
    assert edge.taken == 5


def test_an_edge_that_takes_no_connection_any_more_was_sent_nothing(hasty: tuple[Hasty, Connections]) -> None:
    """So that the user may ask the next one."""
    edge, user = hasty
    assert user.send(1, "POST", "/api/chats", "{}", "key") == (200, b"ok")
    edge.stop()
    with pytest.raises(CannotConnectError):
        user.send(1, "POST", "/api/chats", "{}", "key")
