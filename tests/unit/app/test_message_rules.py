"""What a message may be, and how rows become a page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.chats.messages import MAX_CONTENT_BYTES, Message, MessagePage, NewMessage


def rows(newest: int, count: int) -> list[Message]:
    """What the query returns: ids downwards from `newest`."""
    return [
        Message(id=number, role="user", content="x", created_at=datetime.now(UTC))
        for number in range(newest, max(newest - count, 0), -1)
    ]


@given(total=st.integers(0, 60), limit=st.integers(1, 25))
def test_following_the_cursor_visits_every_message_once(total: int, limit: int) -> None:
    seen: list[int] = []
    before: int | None = total + 1
    while before is not None:
        page = MessagePage.from_newest_first(rows(before - 1, limit + 1), limit)
        ids = [message.id for message in page.messages]
        assert ids == sorted(ids)
        assert len(ids) <= limit
        seen = ids + seen
        before = page.next_before
    assert seen == list(range(1, total + 1))


@pytest.mark.parametrize("letter", ["x", "ä", "🙂"])
def test_content_is_limited_in_bytes(letter: str) -> None:
    fits = letter * (MAX_CONTENT_BYTES // len(letter.encode()))
    assert NewMessage(role="user", content=fits).content == fits
    with pytest.raises(ValidationError, match="65536 bytes"):
        NewMessage(role="user", content=fits + letter)


@pytest.mark.parametrize("content", ["", "a\x00b"])
def test_content_that_cannot_be_stored(content: str) -> None:
    with pytest.raises(ValidationError):
        NewMessage(role="user", content=content)
