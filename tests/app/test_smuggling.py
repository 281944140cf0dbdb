"""Requests that try to be understood in two ways, over raw sockets, against a real server."""

from __future__ import annotations

import contextlib
import re
import socket

import pytest

from tests.app.servers import CLIENTS, Backend

pytestmark = pytest.mark.app

AUTHORIZATION = f"Authorization: Bearer {CLIENTS['tester']}"
BODY = '{"title": "x"}'
# What would be answered as a request of its own if the server took the end of the first one to be where it is not.
SMUGGLED = f"GET /api/chats HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}\r\n\r\n"


def talk(backend: Backend, data: bytes) -> bytes:
    """Everything that the server says to `data` until it closes the connection or is silent for two seconds."""
    with socket.create_connection(("127.0.0.1", backend.port), timeout=30) as connection:
        connection.sendall(data)
        connection.settimeout(2)
        said = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65536):
                said += part
    return said


def post(*headers: str, body: str = BODY, target: str = "/api/chats") -> bytes:
    """A request to create a chat."""
    lines = [f"POST {target} HTTP/1.1", "Host: test", AUTHORIZATION, "Content-Type: application/json", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


def statuses(said: bytes) -> list[int]:
    """The status of every response in what the server said."""
    # Anywhere: a body has no line end after it.
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


def titles(backend: Backend) -> int:
    """How many chats the client has."""
    return len(backend.client.get("/api/chats").json()["chats"])


LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"
ATTEMPTS: dict[str, bytes] = {
    "length and chunks": post("Content-Length: 5", "Transfer-Encoding: chunked", body=CHUNKED + SMUGGLED),
    "chunks and length": post("Transfer-Encoding: chunked", "Content-Length: 5", body=CHUNKED + SMUGGLED),
    "two lengths": post(LENGTH, "Content-Length: 1", body=BODY + SMUGGLED),
    "the same length twice": post(LENGTH, LENGTH, body=BODY + SMUGGLED),
    "lengths in a list": post(f"Content-Length: {len(BODY)}, {len(BODY)}", body=BODY + SMUGGLED),
    "a signed length": post(f"Content-Length: +{len(BODY)}", body=BODY + SMUGGLED),
    "a negative length": post("Content-Length: -1", body=BODY + SMUGGLED),
    "a hexadecimal length": post(f"Content-Length: 0x{len(BODY):x}", body=BODY + SMUGGLED),
    "a length with a space in it": post("Content-Length: 1 4", body=BODY + SMUGGLED),
    "an empty length": post("Content-Length: ", body=BODY + SMUGGLED),
    "a length beyond 64 bits": post("Content-Length: 99999999999999999999999", body=BODY + SMUGGLED),
    "a space before the colon": post("Content-Length : 5", "Transfer-Encoding: chunked", body=CHUNKED + SMUGGLED),
    "a length hidden in a folded line": post("X-Fold: a", " Content-Length: 5", body=BODY + SMUGGLED),
    "chunks that are not last": post("Transfer-Encoding: chunked, identity", body=CHUNKED + SMUGGLED),
    "a chunk length that is none": post("Transfer-Encoding: chunked", body="0x5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a null byte in a header": post("X-Null: a\0b", LENGTH, body=BODY + SMUGGLED),
    "a bare carriage return": post("X-Bare: a\rContent-Length: 5", LENGTH, body=BODY + SMUGGLED),
}


def test_ambiguous_requests_are_refused_and_what_they_hide_is_not_served(embedded: Backend) -> None:
    for name, data in ATTEMPTS.items():
        said = talk(embedded, data)
        assert statuses(said) == [400], f"{name}: {said[:300]!r}"
        assert b"connection: close" in said.lower(), name
        assert CLIENTS["tester"].encode() not in said, name
    assert titles(embedded) == 0, "nothing was created"
    assert embedded.client.get("/api/health/live").status_code == 200


def test_what_is_unusual_but_clear_is_served(embedded: Backend) -> None:
    assert statuses(talk(embedded, post(LENGTH, "Connection: close"))) == [201]
    assert statuses(talk(embedded, post("Transfer-Encoding: chunked", "Connection: close", body=CHUNKED))) == [201]
    # Pipelined requests are two requests, each with a length of its own.
    assert statuses(talk(embedded, post(LENGTH) + post(LENGTH, "Connection: close"))) == [201, 201]
    assert titles(embedded) == 4


def test_no_spelling_of_a_path_gets_past_the_token(embedded: Backend) -> None:
    targets = ["/api/chats", "/%61pi/chats", "/api%2fchats", "//api/chats", "/./api/chats", "/x/../api/chats"]
    targets += [
        "/API/chats",
        "/api//chats",
        "http://other/api/chats",
        "/api/health/../chats",
        "/api/chats?x=/api/health",
    ]
    for target in targets:
        data = f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode()
        said = talk(embedded, data)
        assert statuses(said) in ([401], [404]), f"{target}: {said[:200]!r}"
        assert b'"chats"' not in said, target
