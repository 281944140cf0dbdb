"""Cursors: where the next page begins, in a form that clients hand back and never look into."""

from __future__ import annotations

import base64
import binascii
import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.errors import InvalidCursorError

MAX_CHARACTERS = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MICROSECOND = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)

# The first byte tells the kind, so that a cursor of one list is refused by another.
_message = struct.Struct(">cQ")
_chat = struct.Struct(">cQ16s")
_found = struct.Struct(">cQ16sQ")
MAX_ID = 2**63 - 1


def for_message(message_id: int) -> str:
    """Before this message."""
    return _text(_message.pack(b"m", message_id))


def for_chat(created_at: datetime, chat_id: UUID) -> str:
    """Before this chat."""
    return _text(_chat.pack(b"c", _microseconds(created_at), chat_id.bytes))


def for_found(created_at: datetime, chat_id: UUID, message_id: int) -> str:
    """Before this message that a search found."""
    return _text(_found.pack(b"f", _microseconds(created_at), chat_id.bytes, message_id))


def message(cursor: str) -> int:
    """What `for_message` was given. Raises InvalidCursorError, as do the next two."""
    (_, message_id) = _unpack(_message, b"m", cursor)
    return _checked_id(message_id)


def chat(cursor: str) -> tuple[datetime, UUID]:
    """What `for_chat` was given."""
    (_, microseconds, chat_id) = _unpack(_chat, b"c", cursor)
    return _moment(microseconds), UUID(bytes=chat_id)


def found(cursor: str) -> tuple[datetime, UUID, int]:
    """What `for_found` was given."""
    (_, microseconds, chat_id, message_id) = _unpack(_found, b"f", cursor)
    return _moment(microseconds), UUID(bytes=chat_id), _checked_id(message_id)


def _text(packed: bytes) -> str:
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode("ascii")


def _unpack(form: struct.Struct, kind: bytes, cursor: str) -> tuple[Any, ...]:
    try:
        if len(cursor) > MAX_CHARACTERS:
            raise ValueError
        packed = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        fields = form.unpack(packed)
        # Only the one spelling that we made: base64 has several for some bytes.
        if fields[0] != kind or _text(packed) != cursor:
            raise ValueError
    except (ValueError, binascii.Error, struct.error, UnicodeEncodeError):
        raise InvalidCursorError("the cursor was not made by this list") from None
    return fields


def _checked_id(message_id: int) -> int:
    if not 1 <= message_id <= MAX_ID:
        raise InvalidCursorError("the cursor was not made by this list")
    return message_id


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    if microseconds > LAST_MICROSECOND:
        raise InvalidCursorError("the cursor was not made by this list")
    return EPOCH + timedelta(microseconds=microseconds)
