"""The header Idempotency-Key: which forms it may have, and what tells one request from another."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import copy_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from app import context
from app.chats.store import IdempotentRequest
from app.web.idempotency import idempotent_request

VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
bare_keys = st.text(VISIBLE.replace('"', ""), min_size=1, max_size=255)


def read(
    *keys: bytes,
    method: str = "POST",
    path: str = "/api/chats",
    body: bytes = b"{}",
    caller: str = "ide",
    name: bytes = b"idempotency-key",
) -> IdempotentRequest | None:
    """What a request with these headers is known by; the body comes in two parts."""
    parts: list[Message] = [
        {"type": "http.request", "body": body[:1], "more_body": True},
        {"type": "http.request", "body": body[1:], "more_body": False},
    ]

    async def receive() -> Message:
        return parts.pop(0)

    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "server": ("127.0.0.1", 8080),
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"pidea.example"), *((name, key) for key in keys)],
    }

    def run() -> IdempotentRequest | None:
        context.use_caller(caller)
        return asyncio.run(idempotent_request(Request(scope, receive)))

    return copy_context().run(run)


def known(*keys: bytes, **request: str | bytes) -> IdempotentRequest:
    found = read(*keys, **request)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_without_the_header_nothing_is_remembered() -> None:
    assert read() is None


def test_the_key_belongs_to_the_caller() -> None:
    assert (known(b"b9b0-1").owner, known(b"b9b0-1").key) == ("ide", "b9b0-1")
    assert known(b"b9b0-1", caller="ci").owner == "ci"


@given(bare_keys)
@settings(deadline=None)
def test_a_key_in_quotes_is_the_same_key(key: str) -> None:
    bare, quoted = known(key.encode()), known(f'"{key}"'.encode())
    assert bare == quoted
    assert bare.key == key


@pytest.mark.parametrize("key", [b"k" * 255, b'"' + b"k" * 255 + b'"', b"k", b"'", b"a;b=c,d", b"\\"])
def test_the_longest_and_the_oddest_keys_are_taken(key: bytes) -> None:
    assert known(key).key == key.decode().strip('"')


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b" ",
        b'""',
        b'"',
        b'"k',
        b'k"',
        b'a"b',
        b'"a"b"',
        b'"a" ',
        b'"a", "b"',
        b"a b",
        b'"a b"',
        b"a\tb",
        b"a\nb",
        b"key\n",
        b"a\rb",
        b"a\x00b",
        b"\x1f",
        b"a\x7f",
        b"a\x80",
        "é".encode(),
        "é".encode("latin-1"),
        b"k" * 256,
        b'"' + b"k" * 256 + b'"',
        b"k" * 100_000,
    ],
)
def test_a_key_of_another_form_is_refused(key: bytes) -> None:
    with pytest.raises(HTTPException) as caught:
        read(key)
    assert caught.value.status_code == 400
    assert "Idempotency-Key must be 1 to 255 visible ASCII characters" in caught.value.detail


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_a_key_or_are_refused(key: bytes) -> None:
    # Any other error fails the test.
    with suppress(HTTPException):
        found = known(key)
        assert key.decode("ascii") in (found.key, f'"{found.key}"')


@pytest.mark.parametrize("keys", [(b"a", b"b"), (b"a", b"a"), (b"a", b""), (b"", b"a"), (b"a", b"b", b"c")])
def test_a_repeated_header_is_refused(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(HTTPException, match="must not be repeated"):
        read(*keys)


def test_the_same_request_is_the_same_and_every_other_is_another() -> None:
    first = known(b"key")
    assert known(b"key") == first
    others = [
        known(b"key", method="PATCH"),
        known(b"key", path="/api/chats/1"),
        known(b"key", body=b"{ }"),
        known(b"key", body=b""),
    ]
    assert len({request.digest for request in (first, *others)}) == 5
    assert {request.key for request in others} == {"key"}


@given(st.binary(max_size=50), st.binary(max_size=50))
@settings(deadline=None)
def test_bodies_are_told_apart_to_the_byte(one: bytes, other: bytes) -> None:
    same = known(b"key", body=one).digest == known(b"key", body=other).digest
    assert same == (one == other)


def test_the_digest_does_not_depend_on_key_nor_on_caller() -> None:
    assert known(b"one", caller="ide").digest == known(b"two", caller="ci").digest
