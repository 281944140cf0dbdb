"""Cursors come back as they were given, and whatever else comes is refused in one way."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from app.chats import cursor
from app.errors import InvalidCursorError

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
CHAT = UUID("12345678-1234-5678-1234-567812345678")
LAST = datetime(9999, 12, 31, tzinfo=UTC)

message_ids = st.integers(1, cursor.MAX_ID)
moments = st.datetimes(datetime(1970, 1, 1), LAST.replace(tzinfo=None), timezones=st.just(UTC))
cursors = st.one_of(
    st.builds(cursor.for_message, message_ids),
    st.builds(cursor.for_chat, moments, st.uuids()),
    st.builds(cursor.for_found, moments, st.uuids(), message_ids),
)
READERS: list[Callable[[str], object]] = [cursor.message, cursor.chat, cursor.found]


def again(text: str) -> list[str]:
    """What the lists that take the text as a cursor would write for its meaning."""
    made = []
    with suppress(InvalidCursorError):
        made.append(cursor.for_message(cursor.message(text)))
    with suppress(InvalidCursorError):
        made.append(cursor.for_chat(*cursor.chat(text)))
    with suppress(InvalidCursorError):
        made.append(cursor.for_found(*cursor.found(text)))
    return made


@given(message_ids)
@example(1)
@example(cursor.MAX_ID)
@settings(deadline=None)
def test_a_message_comes_back(message_id: int) -> None:
    assert cursor.message(cursor.for_message(message_id)) == message_id


@given(moments, st.uuids())
@example(cursor.EPOCH, UUID(int=0))
@example(LAST, UUID(int=2**128 - 1))
@settings(deadline=None)
def test_a_chat_comes_back_to_the_microsecond(created_at: datetime, chat_id: UUID) -> None:
    assert cursor.chat(cursor.for_chat(created_at, chat_id)) == (created_at, chat_id)


@given(moments, st.uuids(), message_ids)
@settings(deadline=None)
def test_a_found_message_comes_back(created_at: datetime, chat_id: UUID, message_id: int) -> None:
    assert cursor.found(cursor.for_found(created_at, chat_id, message_id)) == (created_at, chat_id, message_id)


def test_a_moment_of_another_time_zone_comes_back_as_the_same_moment() -> None:
    there = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert cursor.chat(cursor.for_chat(there, CHAT)) == (MOMENT, CHAT)


@given(cursors)
@settings(deadline=None)
def test_a_cursor_can_stand_in_a_url_as_it_is(text: str) -> None:
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")
    assert len(text) <= cursor.MAX_CHARACTERS


@given(cursors)
@settings(deadline=None)
def test_only_the_list_that_made_a_cursor_takes_it(text: str) -> None:
    assert again(text) == [text]


@given(st.one_of(st.text(), st.text(string.ascii_letters + string.digits + "-_=+/ ", max_size=60)))
@example("")
@example("=")
@example("\x00")
@example("\ud800")
@example("é")
@settings(deadline=None)
def test_any_text_is_refused_or_is_what_its_meaning_is_written_as(text: str) -> None:
    assert set(again(text)) <= {text}


@given(st.binary(min_size=9, max_size=33), st.sampled_from([(b"m", 9), (b"c", 25), (b"f", 33)]))
@settings(deadline=None)
def test_any_bytes_of_the_right_length_and_kind_are_refused_or_mean_something(
    noise: bytes, form: tuple[bytes, int]
) -> None:
    kind, length = form
    packed = (kind + noise).ljust(length, b"\xff")[:length]
    text = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    assert set(again(text)) <= {text}


@given(cursors, st.data())
@settings(deadline=None)
def test_a_changed_character_makes_another_cursor_or_none(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.one_of(st.sampled_from(string.ascii_letters + string.digits + "-_"), st.characters()))
    assume(character != text[place])
    changed = text[:place] + character + text[place + 1 :]
    assert set(again(changed)) <= {changed}


@given(cursors, st.sampled_from(["=", "==", " ", "\n", "A", "AA", "AAAA", "\x00"]))
@settings(deadline=None)
def test_a_cursor_with_something_before_or_after_it_is_refused(text: str, more: str) -> None:
    assert again(text + more) == []
    assert again(more + text) == []


@given(cursors)
@settings(deadline=None)
def test_a_shortened_cursor_is_refused(text: str) -> None:
    assert [made for length in range(len(text)) for made in again(text[:length])] == []


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("length", [cursor.MAX_CHARACTERS, cursor.MAX_CHARACTERS + 1, 1_000_000])
def test_a_long_text_is_refused(read: Callable[[str], object], length: int) -> None:
    with pytest.raises(InvalidCursorError, match="was not made by this list"):
        read("A" * length)


def test_another_spelling_of_the_same_bytes_is_refused() -> None:
    text = cursor.for_chat(MOMENT, CHAT)
    # 25 bytes leave four bits of the last character without a meaning.
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    twin = text[:-1] + alphabet[alphabet.index(text[-1]) + 1]
    assert base64.urlsafe_b64decode(twin + "==") == base64.urlsafe_b64decode(text + "==")
    assert again(twin) == []


@pytest.mark.parametrize("message_id", [0, cursor.MAX_ID + 1, 2**64 - 1])
def test_an_id_that_no_message_has_is_refused(message_id: int) -> None:
    for text in (cursor.for_message(message_id), cursor.for_found(MOMENT, CHAT, message_id)):
        assert again(text) == []


def test_a_moment_that_no_calendar_has_is_refused() -> None:
    # One microsecond after the last day, which is where the bytes still have room and datetime has none left.
    beyond = cursor.LAST_MICROSECOND + 1
    packed = b"c" + beyond.to_bytes(8, "big") + CHAT.bytes
    assert again(base64.urlsafe_b64encode(packed).rstrip(b"=").decode()) == []
    assert cursor.EPOCH + timedelta(microseconds=cursor.LAST_MICROSECOND) == LAST
