"""What a message may be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.chats.models import MAX_CONTENT_BYTES, NewMessage


@pytest.mark.parametrize("letter", ["x", "ä", "🙂"])
def test_content_is_limited_in_bytes(letter: str) -> None:
    fits = letter * (MAX_CONTENT_BYTES // len(letter.encode()))
    assert NewMessage(role="user", content=fits).content == fits
    with pytest.raises(ValidationError, match="65536 bytes"):
        NewMessage(role="user", content=fits + letter)


@pytest.mark.parametrize("content", ["", "a\x00b", "\ud800"])
def test_content_that_cannot_be_stored(content: str) -> None:
    with pytest.raises(ValidationError):
        NewMessage(role="user", content=content)
