"""What app.chats.store promises, kept by PostgreSQL and SQLite alike; and PostgreSQL's migrations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.chats import cursor as cursors
from app.chats.models import Message, NewMessage
from app.errors import (
    NotFoundError,
)
from app.storage import postgres_chats, sqlite_chats
from tests.app.stores import (
    ALL,
    CONTENTS,
    OTHER,
    OWNER,
    Stores,
    World,
    exported,
    user,
)

pytestmark = pytest.mark.app

T = TypeVar("T")
Page = Callable[[int, str | None], Awaitable[tuple[list[T], str | None]]]

# Far longer than any wait takes; it only ends a failing test.
PATIENCE_SECONDS = 8.0
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=5)


# Who may see what


async def outcome(act: Awaitable[object]) -> str:
    try:
        return repr(await act)
    except Exception as error:
        return repr(error)


@pytest.mark.parametrize("intruder", [OTHER, "", "%", "_____r", OWNER.upper(), f"{OWNER} ", "' OR '1'='1"])
def test_another_ones_chat_cannot_be_told_from_one_that_does_not_exist(stores: Stores, intruder: str) -> None:
    async def scenario(world: World) -> None:
        theirs = await world.new_chat("secretive")
        before = await world.store.chat(OWNER, theirs)

        async def tried(chat_id: UUID) -> list[str]:
            store = world.store
            return [
                await outcome(store.chat(intruder, chat_id)),
                await outcome(store.messages(intruder, chat_id, ALL, None)),
                await outcome(exported(world, chat_id, intruder)),
                await outcome(world.write(lambda writer: writer.rename_chat(intruder, chat_id, "mine"))),
                await outcome(world.write(lambda writer: writer.append(intruder, chat_id, user("x")))),
                await outcome(world.write(lambda writer: writer.edit(intruder, chat_id, 1, "x"))),
                await outcome(world.write(lambda writer: writer.edit(intruder, chat_id, 9, "x"))),
                await outcome(world.write(lambda writer: writer.delete_message(intruder, chat_id, 1))),
                await outcome(world.write(lambda writer: writer.delete_chat(intruder, chat_id))),
            ]

        refused = await tried(theirs)
        assert refused == await tried(uuid4())
        assert refused[:2] == ["None", "None"]
        assert all("NotFoundError" in answer for answer in refused[2:])
        assert await world.store.chats(intruder, ALL, None) == []
        assert await world.found("secretive", intruder) == []
        assert await world.store.chat(OWNER, theirs) == before
        assert await world.contents(theirs) == ["secretive"]

    stores.play(scenario)


def test_a_message_is_reached_through_its_own_chat_only(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat, neighbour = await world.new_chat("one", "two"), await world.new_chat("one")
        for refused in (world.edit(neighbour, 2, "x"), world.delete_message(neighbour, 2)):
            with pytest.raises(NotFoundError):
                await refused
        await world.edit(neighbour, 1, "edited")
        await world.delete_message(neighbour, 1)
        assert await world.contents(chat) == ["one", "two"]
        assert await world.contents(neighbour) == []

    stores.play(scenario)


# Writing


def test_messages_stay_in_the_order_of_their_appends(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat()
        said = [await world.say(chat, str(number)) for number in range(12)]
        assert [message.id for message in said] == list(range(1, 13))
        assert await world.store.messages(OWNER, chat, ALL, None) == said[::-1]

    stores.play(scenario)


def test_appends_at_once_on_two_replicas_get_ids_without_gaps(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat()
        replicas = World(world.store, world.replica), World(world.replica, world.store)
        said = await asyncio.gather(*(replicas[number % 2].say(chat, str(number)) for number in range(40)))
        stored = await world.store.messages(OWNER, chat, ALL, None)
        assert stored == sorted(said, key=lambda message: message.id, reverse=True)
        assert [message.id for message in stored] == list(range(40, 0, -1))
        moments = [message.created_at for message in stored]
        assert moments == sorted(moments, reverse=True), "the order of ids is that of time"

    stores.play(scenario)


def test_an_edit_changes_one_message_and_no_other(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat("one", "two", "three")
        _, second, _ = before = await world.store.messages(OWNER, chat, ALL, None) or []
        edited = await world.edit(chat, 2, "TWO")
        assert edited.edited_at is not None
        assert edited.edited_at >= second.created_at
        assert edited == second.model_copy(update={"content": "TWO", "edited_at": edited.edited_at})
        assert await world.store.messages(OWNER, chat, ALL, None) == [before[0], edited, before[2]]

    stores.play(scenario)


def test_every_write_to_a_chat_moves_its_updated_at_and_a_failed_one_does_not(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat("one")

        async def updated_at() -> datetime:
            found = await world.store.chat(OWNER, chat)
            assert found is not None
            return found.updated_at

        writes = (
            world.say(chat, "two"),
            world.edit(chat, 1, "ONE"),
            world.delete_message(chat, 1),
            world.rename(chat, "title"),
        )
        for write in writes:
            before = await updated_at()
            await write
            assert await updated_at() > before
        before = await updated_at()
        for missing in (1, 3):
            for refused in (world.edit(chat, missing, "x"), world.delete_message(chat, missing)):
                with pytest.raises(NotFoundError):
                    await refused
        assert await updated_at() == before

    stores.play(scenario)


def test_the_id_of_a_deleted_message_is_not_used_again(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat("one", "two")
        await world.delete_message(chat, 2)
        assert (await world.say(chat, "three")).id == 3
        assert await world.contents(chat) == ["one", "three"]

    stores.play(scenario)


def test_a_deleted_chat_takes_its_messages_along_and_no_others(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        doomed, kept = await world.new_chat("red one", "red two"), await world.new_chat("red three")
        await world.delete_chat(doomed)
        assert await world.store.chat(OWNER, doomed) is None
        assert await world.store.messages(OWNER, doomed, ALL, None) is None
        assert [chat.id for chat in await world.store.chats(OWNER, ALL, None)] == [kept]
        assert await world.found_contents("red") == {"red three"}
        with pytest.raises(NotFoundError):
            await world.delete_chat(doomed)

    stores.play(scenario)
    assert stores.sql("SELECT count(*) FROM messages") == "1"


def test_what_was_written_is_there_after_a_restart(stores: Stores) -> None:
    async def write(world: World) -> UUID:
        return await world.new_chat("kept")

    chat = stores.play(write)
    assert stores.play(lambda world: world.contents(chat)) == ["kept"]


def test_a_message_and_a_title_come_back_as_they_were_written(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat(*CONTENTS)
        assert await world.contents(chat) == CONTENTS
        assert await exported(world, chat) == CONTENTS
        for number, content in enumerate(reversed(CONTENTS), start=1):
            await world.edit(chat, number, content)
            renamed = await world.rename(chat, content[:200])
            assert renamed.title == content[:200]
            assert await world.store.chat(OWNER, chat) == renamed
        assert await world.contents(chat) == CONTENTS[::-1]

    stores.play(scenario)


def test_nul_is_refused_before_the_store_and_does_no_harm_in_it(stores: Stores) -> None:
    with pytest.raises(ValidationError):
        user("a\0b")

    async def scenario(world: World) -> None:
        chat = await world.new_chat("before")
        unchecked = NewMessage.model_construct(role="user", content="a\0b")
        for _ in range(10):
            with suppress(Exception):
                await world.write(lambda writer: writer.append(OWNER, chat, unchecked))
        await world.say(chat, "after")
        first, *between, last = await world.contents(chat)
        assert (first, last) == ("before", "after")
        assert between in ([], ["a\0b"] * 10), "kept whole or not at all"

    stores.play(scenario)


# Reading in pages


async def in_pages(page: Page[T], sizes: list[int], between: Callable[[], Awaitable[object]] | None = None) -> list[T]:
    """All pages, their sizes taken in turn, the cursors as a client hands them back."""
    read: list[T] = []
    cursor: str | None = None
    for number in range(1000):
        size = sizes[number % len(sizes)]
        items, cursor = await page(size, cursor)
        assert len(items) <= size
        read += items
        if len(items) < size or cursor is None:
            return read
        if between is not None:
            await between()
    raise AssertionError("the pages have no end")


def pages_of_chats(world: World) -> Page[UUID]:
    async def page(limit: int, cursor: str | None) -> tuple[list[UUID], str | None]:
        chats = await world.store.chats(OWNER, limit, cursors.chat(cursor) if cursor else None)
        return [chat.id for chat in chats], cursors.for_chat(chats[-1].created_at, chats[-1].id) if chats else None

    return page


def pages_of_messages(world: World, chat_id: UUID) -> Page[int]:
    async def page(limit: int, cursor: str | None) -> tuple[list[int], str | None]:
        messages = await world.store.messages(OWNER, chat_id, limit, cursors.message(cursor) if cursor else None)
        assert messages is not None
        return [message.id for message in messages], cursors.for_message(messages[-1].id) if messages else None

    return page


def pages_of_found(world: World, word: str) -> Page[tuple[UUID, int]]:
    async def page(limit: int, cursor: str | None) -> tuple[list[tuple[UUID, int]], str | None]:
        found = await world.store.search(OWNER, [word], limit, cursors.found(cursor) if cursor else None)
        items = [(item.chat_id, item.message.id) for item in found]
        if not found:
            return items, None
        return items, cursors.for_found(found[-1].message.created_at, *items[-1])

    return page


def at_one_moment(stores: Stores, table: str, modulus: int) -> None:
    """Give most rows one and the same time, so that only their ids tell them apart."""
    stores.sql(
        f"UPDATE {table} SET created_at = (SELECT min(created_at) FROM {table})"  # noqa: S608 - a name of ours
        f" WHERE {'last_message_id' if table == 'chats' else 'id'} % {modulus} <> 0"
    )


def test_pages_of_chats_of_one_moment_have_no_gaps_and_no_duplicates(stores: Stores) -> None:
    async def fill(world: World) -> None:
        for number in range(24):
            await world.new_chat(*["x"] * (number % 4))
        await world.new_chat(owner=OTHER)

    stores.play(fill)
    at_one_moment(stores, "chats", 4)

    @settings(deadline=None, max_examples=15, database=None)
    @given(sizes=SIZES)
    def any_sizes(sizes: list[int]) -> None:
        async def scenario(world: World) -> None:
            chats = await world.store.chats(OWNER, ALL, None)
            keys = [(chat.created_at, chat.id) for chat in chats]
            assert keys == sorted(set(keys), reverse=True)
            assert len(keys) == 24
            assert await in_pages(pages_of_chats(world), sizes) == [chat.id for chat in chats]

        stores.play(scenario)

    any_sizes()


def test_pages_of_messages_have_no_gaps_and_no_duplicates(stores: Stores) -> None:
    async def fill(world: World) -> UUID:
        chat = await world.new_chat(*map(str, range(1, 31)))
        await world.new_chat("of another chat")
        for number in (1, 7, 8, 9, 30):
            await world.delete_message(chat, number)
        return chat

    chat = stores.play(fill)
    at_one_moment(stores, "messages", 5)

    @settings(deadline=None, max_examples=15, database=None)
    @given(sizes=SIZES)
    def any_sizes(sizes: list[int]) -> None:
        expected = [number for number in range(30, 0, -1) if number not in (1, 7, 8, 9, 30)]
        assert stores.play(lambda world: in_pages(pages_of_messages(world, chat), sizes)) == expected

    any_sizes()


def test_pages_of_a_search_have_no_gaps_and_no_duplicates(stores: Stores) -> None:
    async def fill(world: World) -> None:
        for _ in range(6):
            await world.new_chat(*(f"{'red' if number % 3 else 'blue'} {number}" for number in range(8)))

    stores.play(fill)
    at_one_moment(stores, "messages", 4)

    @settings(deadline=None, max_examples=15, database=None)
    @given(sizes=SIZES)
    def any_sizes(sizes: list[int]) -> None:
        async def scenario(world: World) -> None:
            found = await world.found("red")
            keys = [(item.message.created_at, item.chat_id, item.message.id) for item in found]
            assert keys == sorted(set(keys), reverse=True)
            assert len(keys) == 6 * 5
            assert await in_pages(pages_of_found(world, "red"), sizes) == [key[1:] for key in keys]

        stores.play(scenario)

    any_sizes()


@pytest.mark.parametrize("size", [1, 3])
def test_what_is_written_between_two_pages_shifts_none_of_them(stores: Stores, size: int) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat(*["red"] * 9)
        newer = [await world.new_chat() for _ in range(6)]

        async def grow() -> None:
            await world.say(chat, "red and new")
            await world.new_chat("red and new")

        assert await in_pages(pages_of_messages(world, chat), [size], grow) == list(range(9, 0, -1))
        fresh = await world.new_chat(*["blue"] * 9)
        expected = [(fresh, number) for number in range(9, 0, -1)]

        async def grow_blue() -> None:
            await world.new_chat("blue")

        assert await in_pages(pages_of_found(world, "blue"), [size], grow_blue) == expected
        assert (await in_pages(pages_of_chats(world), [size], grow))[-7:] == [*newer[::-1], chat]

    stores.play(scenario)


def test_a_cursor_whose_message_or_chat_was_deleted_goes_on_where_it_was(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chats = [await world.new_chat("red") for _ in range(3)]
        listed = await world.store.chats(OWNER, 2, None)
        found = await world.found("red")
        await world.delete_chat(chats[1])
        rest = await world.store.chats(OWNER, ALL, (listed[1].created_at, listed[1].id))
        assert [chat.id for chat in rest] == [chats[0]]
        last = (found[1].message.created_at, found[1].chat_id, found[1].message.id)
        assert await world.store.search(OWNER, ["red"], ALL, last) == [found[2]]

        for content in ("two", "three"):
            await world.say(chats[0], content)
        await world.delete_message(chats[0], 2)
        older = await world.store.messages(OWNER, chats[0], ALL, 2)
        assert [message.content for message in older or []] == ["red"]

    stores.play(scenario)


def test_the_outermost_cursors_are_taken(stores: Stores) -> None:
    first_moment, first_id = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0)
    last_moment, last_id = datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1)

    async def scenario(world: World) -> None:
        chat = await world.new_chat("red")
        store = world.store
        assert await store.chats(OWNER, 9, (first_moment, first_id)) == []
        assert [found.id for found in await store.chats(OWNER, 9, (last_moment, last_id))] == [chat]
        assert await store.messages(OWNER, chat, 9, 1) == []
        assert len(await store.messages(OWNER, chat, 9, cursors.MAX_ID) or []) == 1
        assert await store.search(OWNER, ["red"], 9, (first_moment, first_id, 1)) == []
        assert len(await store.search(OWNER, ["red"], 9, (last_moment, last_id, cursors.MAX_ID))) == 1

    stores.play(scenario)


# Export


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6, 7])
def test_an_export_has_all_messages_in_order_however_many_batches_it_takes(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    for module in (postgres_chats, sqlite_chats):
        monkeypatch.setattr(module, "EXPORT_BATCH", 3)
    contents = [str(number) for number in range(count)]

    async def scenario(world: World) -> list[str]:
        return await exported(world, await world.new_chat(*contents))

    assert stores.play(scenario) == contents


def test_an_export_goes_on_beside_writes(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (postgres_chats, sqlite_chats):
        monkeypatch.setattr(module, "EXPORT_BATCH", 3)

    async def scenario(world: World) -> None:
        chat = await world.new_chat(*map(str, range(1, 9)))
        numbers = []
        async for message in world.store.export(OWNER, chat):
            numbers.append(message.id)
            if message.id == 2:
                await world.delete_message(chat, 3)
                await world.delete_message(chat, 5)
                await world.say(chat, "new")
        assert numbers == sorted(set(numbers)), "once each, in order"
        assert {1, 2, 4, 6, 7, 8, 9} <= set(numbers)
        assert 5 not in numbers

        ends: AsyncIterator[Message] = world.store.export(OWNER, chat)
        assert (await anext(ends)).id == 1
        await world.delete_chat(chat)
        assert len([message async for message in ends]) < 5, "the rest of a chat that is gone does not come"

    stores.play(scenario)


# Feedback and web vitals


def test_feedback_and_web_vitals_are_stored_as_they_were_given(stores: Stores) -> None:
    chat = uuid4()
    vitals = {"lcp_ms": 850.5, "cls": 0.0, "inp_ms": 1e-7, "ttfb_ms": 600000.0}

    async def scenario(world: World) -> None:
        await world.store.add_feedback(OWNER, 5, "it's \"100%\" 🙂; '); DROP TABLE feedback; --", chat)
        await world.store.add_feedback(OTHER, 1, "", None)
        await world.store.add_feedback(OTHER, 3, "🙂" * 2000, None)
        await world.store.add_web_vitals(OWNER, "/chats/%20'", vitals, "no-l1")

    stores.play(scenario)
    assert stores.sql("SELECT owner, score, comment, chat_id FROM feedback ORDER BY score DESC").splitlines() == [
        f"{OWNER}|5|it's \"100%\" 🙂; '); DROP TABLE feedback; --|{chat}",
        f"{OTHER}|3|{'🙂' * 2000}|",
        f"{OTHER}|1||",
    ]
    assert stores.sql("SELECT owner, page, variant FROM web_vitals") == f"{OWNER}|/chats/%20'|no-l1"
    assert json.loads(stores.sql("SELECT metrics FROM web_vitals")) == vitals
    assert stores.sql("SELECT count(created_at) FROM feedback") == "3"
