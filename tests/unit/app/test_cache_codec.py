"""Entries as bytes: what is written is read back, and nothing else is taken for an entry."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cache import codec
from app.cache.codec import decode, encode
from app.cache.entry import Entry

ENTRIES = st.builds(
    Entry,
    body=st.none() | st.binary(max_size=5000),
    stored_at=st.floats(allow_nan=False),
    load_seconds=st.floats(min_value=0, allow_nan=False),
)


@given(entry=ENTRIES, above=st.integers(64, 4096))
def test_what_is_written_is_read_back(entry: Entry, above: int) -> None:
    assert decode(encode(entry, above)) == entry


@given(data=st.binary(max_size=200))
def test_garbage_is_no_entry(data: bytes) -> None:
    assert decode(data) is None


@given(entry=ENTRIES, data=st.data())
def test_a_damaged_entry_is_no_entry(entry: Entry, data: st.DataObject) -> None:
    written = bytearray(encode(entry, 64))
    position = data.draw(st.integers(0, len(written) - 1))
    written[position] ^= data.draw(st.integers(1, 255))
    assert decode(bytes(written)) is None
    assert decode(encode(entry, 64)[: data.draw(st.integers(0, len(written) - 1))]) is None


def test_text_above_the_size_gets_smaller() -> None:
    entry = Entry(b"the same words again " * 1000, 1.0, 0.1)
    assert len(encode(entry, 1024)) < len(entry.body or b"") / 10
    assert len(encode(entry, 1024 * 1024)) > len(entry.body or b"")


def test_another_format_is_no_entry() -> None:
    written = bytearray(encode(Entry(b"x", 1.0, 0.1), 64))
    written[1] += 1
    assert decode(bytes(written)) is None


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_BODY_BYTES", 10_000)
    rest = struct.pack(">dd", 1.0, 0.1) + zlib.compress(b"\0" * 1_000_000)
    head = struct.pack(">BBBI", codec.MAGIC, codec.FORMAT_VERSION, codec.COMPRESSED, zlib.crc32(rest, codec.COMPRESSED))
    assert decode(head + rest) is None
