"""A resolver of the tests' own, in Docker's place: one name with the addresses that it is given (RFC 1035)."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator

_HEADER = struct.Struct("!6H")
_RESPONSE = 0x8180
_NO_SUCH_NAME = 3
_TYPE_A, _CLASS_IN = 1, 1
# Points to the question's name, right behind the header.
_SAME_NAME = struct.pack("!H", 0xC000 | _HEADER.size)


class Resolver(socketserver.ThreadingUDPServer):
    """Says that `name` has `addresses`, and no other name any; `address` is its own `host:port`."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.addresses: list[str] = []

    @property
    def address(self) -> str:
        host, port = self.socket.getsockname()
        return f"{host}:{port}"


class _Handler(socketserver.BaseRequestHandler):
    server: Resolver

    def handle(self) -> None:
        query, reply_to = self.request
        number = _HEADER.unpack_from(query)[0]
        labels, end = [], _HEADER.size
        while length := query[end]:
            labels.append(query[end + 1 : end + 1 + length].decode())
            end += 1 + length
        question = query[_HEADER.size : end + 5]
        asked_for = struct.unpack("!2H", question[-4:])
        known = ".".join(labels) == self.server.name
        found = self.server.addresses if known and asked_for == (_TYPE_A, _CLASS_IN) else []
        flags = _RESPONSE | (0 if known else _NO_SUCH_NAME)
        answers = [
            _SAME_NAME + struct.pack("!HHIH", _TYPE_A, _CLASS_IN, 0, 4) + socket.inet_aton(address) for address in found
        ]
        reply_to.sendto(
            _HEADER.pack(number, flags, 1, len(answers), 0, 0) + question + b"".join(answers), self.client_address
        )


@contextlib.contextmanager
def resolving(name: str) -> Iterator[Resolver]:
    """It answers until the block ends."""
    with Resolver(name) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
