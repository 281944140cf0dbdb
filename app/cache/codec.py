"""How an entry is written down: in Redis and on disk, for this release and for the ones that run beside it.

    magic (1) │ version (1) │ flags (1) │ CRC-32 of all but itself (4) │ stored_at (8) │ load_seconds (8) │ body

Whatever does not read as exactly that is no entry: a rolling update mixes versions, and disks lie.
"""

from __future__ import annotations

import struct
import zlib

from app.cache.entry import Entry

MAGIC = 0xC4
FORMAT_VERSION = 1
ABSENT = 0b01
COMPRESSED = 0b10
# The cheapest level: it halves chat text in well under a millisecond; better ones cost more than Redis saves.
LEVEL = 1
# No entry is larger; what unpacks to more was not made by us.
MAX_BODY_BYTES = 64 * 1024 * 1024

_head = struct.Struct(">BBBI")
_times = struct.Struct(">dd")
HEADER_BYTES = _head.size + _times.size


def encode(entry: Entry, compress_above_bytes: int) -> bytes:
    """The entry as bytes; a body above the size is compressed if that makes it smaller."""
    flags = ABSENT if entry.body is None else 0
    body = entry.body or b""
    if len(body) > compress_above_bytes:
        packed = zlib.compress(body, LEVEL)
        if len(packed) < len(body):
            flags |= COMPRESSED
            body = packed
    rest = _times.pack(entry.stored_at, entry.load_seconds) + body
    return _head.pack(MAGIC, FORMAT_VERSION, flags, _checksum(flags, rest)) + rest


def decode(data: bytes) -> Entry | None:
    """The entry, or None for anything that `encode` of this release did not write."""
    if len(data) < HEADER_BYTES:
        return None
    magic, version, flags, checksum = _head.unpack_from(data)
    if magic != MAGIC or version != FORMAT_VERSION or flags & ~(ABSENT | COMPRESSED):
        return None
    if _checksum(flags, memoryview(data)[_head.size :]) != checksum:
        return None
    stored_at, load_seconds = _times.unpack_from(data, _head.size)
    if flags & ABSENT:
        return Entry(None, stored_at, load_seconds)
    body = data[HEADER_BYTES:]
    if flags & COMPRESSED:
        unpacked = _unpack(body)
        if unpacked is None:
            return None
        body = unpacked
    return Entry(body, stored_at, load_seconds)


def _checksum(flags: int, rest: bytes | memoryview) -> int:
    return zlib.crc32(rest, flags)


def _unpack(packed: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        body = unpacker.decompress(packed, MAX_BODY_BYTES)
    except zlib.error:
        return None
    return body if unpacker.eof else None
