"""What app.chats.store promises, kept by PostgreSQL and SQLite alike; and PostgreSQL's migrations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app import context
from app.chats import cursor as cursors
from app.chats.models import MAX_CONTENT_BYTES, Message, NewMessage
from app.chats.store import ChatStore, IdempotentRequest, StoredResponse, Writer
from app.chats.words import WORD
from app.errors import (
    DeadlineExceededError,
    IdempotencyInFlightError,
    IdempotencyMismatchError,
    MigrationError,
    NotFoundError,
)
from app.storage import migrations, postgres_chats, sqlite_chats
from app.storage.migrations import Migration
from app.storage.postgres import Database
from app.storage.postgres_chats import PostgresChats
from tests.app.servers import Postgres
from tests.app.stores import (
    ALL,
    KEY_TTL_SECONDS,
    OK,
    OTHER,
    OWNER,
    PostgresStores,
    SqliteStores,
    Stores,
    World,
    keyed,
    user,
)

pytestmark = pytest.mark.app

T = TypeVar("T")
Page = Callable[[int, str | None], Awaitable[tuple[list[T], str | None]]]

# Far longer than any wait takes; it only ends a failing test.
PATIENCE_SECONDS = 8.0
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@pytest.fixture(params=["postgres", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    """Each test runs over both."""
    if request.param == "sqlite":
        return SqliteStores(tmp_path / "data")
    return PostgresStores(request.getfixturevalue("postgres"))


@pytest.fixture
def empty(postgres: Postgres) -> PostgresStores:
    """A database of PostgreSQL without a schema."""
    return PostgresStores(postgres)


# Who may see what


async def outcome(act: Awaitable[object]) -> str:
    try:
        return repr(await act)
    except Exception as error:
        return repr(error)


async def exported(world: World, chat_id: UUID, owner: str = OWNER) -> list[str]:
    return [message.content async for message in world.store.export(owner, chat_id)]


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


CONTENTS = [
    "x",
    " \t\r\n",
    "'; DROP TABLE messages; --",
    '"quoted" \\ `back` $1 %s ?1 {0}',
    "100% of _ %",
    "Grüße, u\u0308ber, İstanbul, ﬁne",
    "🙂👩‍👩‍👧‍👦 \U0010ffff",
    "שלום \u202e你好 हिन्दी",
    "\x01\x1f\x7f\ufeff\ufffe\u2028",
    "x" * MAX_CONTENT_BYTES,
    "ä" * (MAX_CONTENT_BYTES // 2),
    "a " * (MAX_CONTENT_BYTES // 2),
    "a-" * (MAX_CONTENT_BYTES // 2),
    "a.b/" * (MAX_CONTENT_BYTES // 4),
    " ".join(f"{number:04x}" for number in range(MAX_CONTENT_BYTES // 5)),
]


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


# Search


def test_a_search_finds_whole_words_in_any_case_and_needs_all_of_them(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        build, herring, other = "The Build is RED, again", "a red herring; ÜBER", "reddish builds"
        await world.new_chat(build, other)
        await world.new_chat(herring)
        assert await world.found_contents("red") == {build, herring}
        assert await world.found_contents("build RED") == {build}
        assert await world.found_contents("über") == {herring}
        assert await world.found_contents("the") == {build}, "there are no stop words"
        assert await world.found_contents("uber") == set()
        assert await world.found_contents("re") == set()
        assert await world.found_contents("red nowhere") == set()
        assert await world.found_contents(" ".join(["red"] * 20)) == {build, herring}

    stores.play(scenario)


def test_a_search_sees_edits_and_deletions(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat("red", "blue")
        await world.edit(chat, 1, "green")
        assert await world.found("red") == []
        assert await world.found_contents("green") == {"green"}
        await world.delete_message(chat, 2)
        # The newest is gone, and with it what the index knew under its number.
        await world.say(chat, "yellow")
        assert await world.found("blue") == []
        await world.delete_chat(chat)
        await world.new_chat("white", "black")
        assert [await world.found(word) for word in ("green", "yellow", "blue")] == [[], [], []]

    stores.play(scenario)


HOSTILE = [
    "%",
    "_",
    "__",
    "*",
    "'",
    '"',
    '""',
    "\\",
    "🙂",
    "'; DROP TABLE messages; --",
    "' OR '1'='1",
    '" OR 1=1 --',
    "red%",
    "NEAR(red",
    "re*",
    "re:*",
    "NOT red",
    "red AND",
    "red OR blue",
    "red | blue",
    "!red",
    "^red",
    "-red",
    "content:red",
    "{content}: red",
    "red <-> blue",
    "$1 ?1 :a @b",
    "\ud800",
    "a" * 200,
    "red " * 50,
]


@pytest.mark.parametrize("query", HOSTILE)
def test_nothing_in_a_query_is_an_operator_or_a_wildcard(stores: Stores, query: str) -> None:
    async def scenario(world: World) -> None:
        contents = {"red", "blue", "reddish", "100", "not red", "red and", "red or blue", "content red"}
        await world.new_chat(*sorted(contents))
        wanted = {word.lower() for word in WORD.findall(query) if word.strip("_")}
        expected = {content for content in contents if wanted and wanted <= set(content.split())}
        assert await world.found_contents(query) == expected
        if query.isprintable():
            # Nor does it have to be what the API makes of it.
            raw = await world.store.search(OWNER, [query], ALL, None)
            assert {item.message.content for item in raw} <= expected
        assert len(await world.found("red")) == 5

    stores.play(scenario)


@pytest.mark.parametrize(
    "text",
    [
        "über STRASSE",
        "O'Brien's",
        "well-known",
        "snake_case",
        "100%",
        "#123",
        "1e5",
        "你好世界",
        "привет",
        "@user",
        "a&b|c!d",
        '"quoted"',
        "main.py",
        "app/main.py",
        "self.name",
        "pidea.example",
        "someone@pidea.example",
        "https://pidea.example/docs?page=1",
        "/etc/hosts",
        "2024-01-15",
        "3.14",
        "x-1",
        "v1.2.3",
        "List<String>",
        "a&amp;b",
        "u\u0308ber",
        "हिन्दी",
    ],
)
def test_a_message_is_found_by_its_own_text_and_by_each_of_its_words(stores: Stores, text: str) -> None:
    async def scenario(world: World) -> None:
        await world.new_chat(f"see {text} now", "see now")
        queries = [text, *WORD.findall(text)]
        lost = [query for query in queries if await world.found_contents(query) != {f"see {text} now"}]
        assert lost == []

    stores.play(scenario)


def test_the_parts_of_a_word_do_not_make_the_word(stores: Stores) -> None:
    async def scenario(world: World) -> set[str]:
        await world.new_chat("snake_case", "a case of a snake")
        return await world.found_contents("snake_case")

    assert stores.play(scenario) == {"snake_case"}


# Idempotency


def appending(chat_id: UUID, content: str, owner: str = OWNER) -> Callable[[Writer], Awaitable[StoredResponse]]:
    async def work(writer: Writer) -> StoredResponse:
        message = await writer.append(owner, chat_id, user(content))
        return StoredResponse(201, content.encode(), {"Location": f"/{message.id}"})

    return work


async def answer_ok(_: Writer) -> StoredResponse:
    return OK


async def patiently(store: ChatStore, chat_id: UUID, content: str, request: IdempotentRequest) -> StoredResponse:
    """What a client does that is told that its first request still runs: it asks again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await store.write(appending(chat_id, content), request)
            except IdempotencyInFlightError:
                await asyncio.sleep(0.01)


def test_the_same_key_with_the_same_request_gets_the_stored_answer(stores: Stores) -> None:
    async def scenario(world: World) -> tuple[UUID, StoredResponse]:
        chat = await world.new_chat()
        first = await world.store.write(appending(chat, "once"), keyed("key"))
        assert first == StoredResponse(201, b"once", {"Location": "/1"}, replayed=False)
        replayed = StoredResponse(first.status, first.body, first.headers, replayed=True)
        for store in (world.store, world.replica):
            assert await store.write(appending(chat, "once"), keyed("key")) == replayed
        return chat, replayed

    chat, replayed = stores.play(scenario)

    async def after_a_restart(world: World) -> None:
        assert await world.store.write(appending(chat, "once"), keyed("key")) == replayed
        assert await world.contents(chat) == ["once"]

    stores.play(after_a_restart)


@pytest.mark.parametrize(
    "response",
    [
        StoredResponse(204, b""),
        StoredResponse(200, bytes(range(256)) * 300, {}),
        StoredResponse(299, "ü🙂".encode(), {"A": "ü \"'\\ 🙂", "b": ""}),
    ],
    ids=["empty", "every byte", "unicode"],
)
def test_an_answer_is_replayed_to_the_byte(stores: Stores, response: StoredResponse) -> None:
    async def scenario(world: World) -> None:
        async def work(_: Writer) -> StoredResponse:
            return response

        await world.store.write(work, keyed("key"))
        again = await world.store.write(work, keyed("key"))
        assert (again.status, again.body, dict(again.headers)) == (response.status, response.body, response.headers)
        assert again.replayed

    stores.play(scenario)


def test_the_same_key_with_another_request_is_refused_and_does_nothing(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat()
        await world.store.write(appending(chat, "once"), keyed("key", b"one"))
        with pytest.raises(IdempotencyMismatchError):
            await world.store.write(appending(chat, "twice"), keyed("key", b"two"))
        assert (await world.store.write(appending(chat, "once"), keyed("key", b"one"))).replayed
        assert await world.contents(chat) == ["once"]

    stores.play(scenario)


def test_keys_are_of_one_owner_and_are_told_apart_to_the_letter(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        mine, theirs = await world.new_chat(), await world.new_chat(owner=OTHER)
        for key in ("key", "KEY", "key ", "k%", "k_", "'", "x" * 255):
            assert not (await world.store.write(appending(mine, key), keyed(key, b"mine"))).replayed
            request = keyed(key, b"theirs", OTHER)
            assert not (await world.store.write(appending(theirs, key, OTHER), request)).replayed
            assert (await world.store.write(appending(mine, key), keyed(key, b"mine"))).replayed
        assert len(await world.contents(mine)) == len(await world.contents(theirs, OTHER)) == 7

    stores.play(scenario)


def test_a_second_request_is_turned_away_while_the_first_one_runs(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat()
        written, go_on = asyncio.Event(), asyncio.Event()

        async def slow(writer: Writer) -> StoredResponse:
            response = await appending(chat, "once")(writer)
            written.set()
            await go_on.wait()
            return response

        first = asyncio.create_task(world.store.write(slow, keyed("key", b"one")))
        await written.wait()
        for store in (world.store, world.replica):
            for digest in (b"one", b"two"):
                with pytest.raises(IdempotencyInFlightError):
                    await store.write(appending(chat, "twice"), keyed("key", digest))
        assert await world.contents(chat) == [], "what is not committed is not seen"
        # Another owner's key of the same name is no reason; SQLite, which has one writer, only makes it wait.
        theirs = asyncio.create_task(world.replica.write(answer_ok, keyed("key", b"one", OTHER)))
        await asyncio.wait({theirs}, timeout=0.3)
        go_on.set()
        assert not (await first).replayed
        assert not (await theirs).replayed
        assert (await world.replica.write(appending(chat, "twice"), keyed("key", b"one"))).body == b"once"
        assert await world.contents(chat) == ["once"]

    stores.play(scenario)


def test_a_key_many_times_at_once_is_executed_once(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat()

        async def write(number: int) -> bool:
            store = (world.store, world.replica)[number % 2]
            return (await patiently(store, chat, "once", keyed("key"))).replayed

        assert sum(not replayed for replayed in await asyncio.gather(*map(write, range(16)))) == 1
        assert await world.contents(chat) == ["once"]

    stores.play(scenario)


def test_a_key_is_forgotten_after_its_time_and_not_before(stores: Stores) -> None:
    async def write(world: World) -> UUID:
        chat = await world.new_chat()
        await world.store.write(appending(chat, "first"), keyed("key", b"one"))
        return chat

    async def early(world: World) -> None:
        assert await world.store.forget_old_keys() == 0
        assert (await world.store.write(appending(chat, "first"), keyed("key", b"one"))).replayed

    async def late(world: World) -> None:
        second = keyed("key", b"two")
        assert not (await world.store.write(appending(chat, "second"), second)).replayed
        again = await world.store.write(appending(chat, "second"), second)
        assert (again.body, again.replayed) == (b"second", True), "its time begins anew"
        assert await world.store.forget_old_keys() == 0
        assert await world.contents(chat) == ["first", "second"]

    chat = stores.play(write)
    stores.age("idempotency_keys", KEY_TTL_SECONDS - 60)
    stores.play(early)
    stores.age("idempotency_keys", 120)
    stores.play(late)


def test_only_keys_that_have_expired_are_removed(stores: Stores) -> None:
    async def use(world: World, *keys: str) -> None:
        chat = await world.new_chat()
        for key in keys:
            await world.store.write(appending(chat, "x"), keyed(key))

    async def forget(world: World) -> tuple[int, int]:
        return await world.store.forget_old_keys(), await world.store.forget_old_keys()

    stores.play(lambda world: use(world, "a", "b"))
    stores.age("idempotency_keys", KEY_TTL_SECONDS + 60)
    stores.play(lambda world: use(world, "c"))
    assert stores.play(forget) == (2, 0)
    assert stores.sql("SELECT key FROM idempotency_keys") == "c"


# Writes that do not come to their end


@pytest.mark.parametrize("error", [NotFoundError("gone"), RuntimeError("a bug"), ValueError("another")], ids=repr)
def test_a_write_that_fails_leaves_nothing_and_its_key_as_new(stores: Stores, error: Exception) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat("before")

        writes: list[Callable[[Writer], Awaitable[object]]] = [
            lambda writer: writer.append(OWNER, chat, user("lost")),
            lambda writer: writer.edit(OWNER, chat, 1, "lost"),
            lambda writer: writer.delete_chat(OWNER, chat),
            lambda writer: writer.create_chat(OWNER, uuid4(), "lost"),
        ]
        for write in writes:

            async def fails(writer: Writer, write: Callable[[Writer], Awaitable[object]] = write) -> StoredResponse:
                await write(writer)
                raise error

            with pytest.raises(type(error), match=str(error)):
                await world.store.write(fails, keyed("key"))
        assert await world.contents(chat) == ["before"]
        assert await world.found("lost") == []
        assert len(await world.store.chats(OWNER, ALL, None)) == 1
        assert not (await world.store.write(appending(chat, "after"), keyed("key", b"another"))).replayed
        assert (await world.say(chat, "more")).id == 3

    stores.play(scenario)


def test_a_write_cancelled_after_its_statement_leaves_neither_message_nor_key(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat()
        # More often than the pool has connections.
        for number in range(6):
            written = asyncio.Event()

            async def never_ends(writer: Writer, written: asyncio.Event = written) -> StoredResponse:
                await writer.append(OWNER, chat, user("lost"))
                written.set()
                await asyncio.Event().wait()
                raise AssertionError

            write = asyncio.create_task(world.store.write(never_ends, keyed(str(number))))
            await written.wait()
            write.cancel()
            with pytest.raises(asyncio.CancelledError):
                await write
        for number in range(6):
            done = await patiently(world.store, chat, str(number), keyed(str(number), b"another"))
            assert not done.replayed
        assert await world.contents(chat) == list("012345")
        assert await world.found("lost") == []

    stores.play(scenario)


def test_a_write_cancelled_at_any_moment_can_be_sent_again_and_is_done_once(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat()
        contents = [str(number) for number in range(40)]
        for number, content in enumerate(contents):
            write = asyncio.create_task(world.store.write(appending(chat, content), keyed(content)))
            await asyncio.wait({write}, timeout=number * 0.0002)
            write.cancel()
            await asyncio.wait({write})
        for content in contents:
            await patiently(world.store, chat, content, keyed(content))
        assert sorted(await world.contents(chat), key=int) == contents

    stores.play(scenario)


def test_a_write_that_ran_out_of_time_waiting_does_not_stop_the_next_ones(stores: Stores) -> None:
    async def scenario(world: World) -> None:
        chat = await world.new_chat()

        async def hurried(number: int) -> None:
            context.use_deadline(0.2)
            with pytest.raises(DeadlineExceededError):
                await world.store.write(appending(chat, "lost"), keyed(str(number)))

        async with stores.hold():
            await asyncio.gather(*(asyncio.create_task(hurried(number)) for number in range(3)))
            assert await world.contents(chat) == [], "reads do not wait"
        for number in range(3):
            done = await patiently(world.store, chat, str(number), keyed(str(number), b"another"))
            assert not done.replayed
        assert await world.contents(chat) == ["0", "1", "2"]

    stores.play(scenario)


def test_a_commit_that_fails_leaves_neither_message_nor_key(empty: PostgresStores) -> None:
    chat = empty.play(lambda world: world.new_chat())
    # Looked at only in the commit, when all statements have succeeded.
    empty.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'refused'; END$$;"
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (new.content = 'lost') EXECUTE FUNCTION refuse()"
    )

    async def scenario(world: World) -> None:
        with pytest.raises(asyncpg.RaiseError):
            await world.store.write(appending(chat, "lost"), keyed("key", b"one"))
        assert await world.contents(chat) == []
        assert not (await world.store.write(appending(chat, "kept"), keyed("key", b"two"))).replayed
        assert await world.contents(chat) == ["kept"]

    empty.play(scenario)


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


# Migrations

# The statements of the first release, which is gone from here but may still run beside this one.
FIRST_APPEND = """
WITH chat AS (
    INSERT INTO chats (id, last_message_id) VALUES ($1, 1)
    ON CONFLICT (id) DO UPDATE SET last_message_id = chats.last_message_id + 1
    RETURNING last_message_id
)
INSERT INTO messages (chat_id, id, role, content) SELECT $1, last_message_id, $2, $3 FROM chat
RETURNING id, role, content, created_at
"""
FIRST_PAGE = """
SELECT id, role, content, created_at FROM messages WHERE chat_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3
"""
# Whom the first release's chats belong to: nobody.
NOBODY = ""


class FirstRelease:
    """Reads and writes as the first release did, on one connection that outlives the migration."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def append(self, chat_id: UUID, content: str) -> int:
        row = await self._connection.fetchrow(FIRST_APPEND, chat_id, "user", content)
        number: int = row["id"]
        return number

    async def contents(self, chat_id: UUID) -> list[str]:
        rows = await self._connection.fetch(FIRST_PAGE, chat_id, 2**63 - 1, 101)
        return [row["content"] for row in reversed(rows)]


def play_migration(empty: PostgresStores, scenario: Callable[[Database, FirstRelease], Awaitable[None]]) -> None:
    """Run the scenario in a database that has the first release's schema."""

    async def run() -> None:
        async with empty.pool() as old, empty.pool() as new:
            assert await migrations.migrate(old, migrations.load()[:1]) == ["0001_messages"]
            async with old.connection() as connection:
                await scenario(new, FirstRelease(connection))

    asyncio.run(run())


def world_over(database: Database) -> World:
    store = PostgresChats(database, idempotency_ttl_seconds=KEY_TTL_SECONDS)
    return World(store, store)


def test_what_the_first_release_wrote_is_readable_after_the_migrations(empty: PostgresStores) -> None:
    async def scenario(database: Database, first: FirstRelease) -> None:
        chat = uuid4()
        # The largest contents that it took, too: the index over all words is made from what is there.
        contents = [*CONTENTS, "red"]
        assert [await first.append(chat, content) for content in contents] == list(range(1, len(contents) + 1))
        applied = await migrations.migrate(database, migrations.load())
        assert applied == [migration.name for migration in migrations.load()[1:]]

        world = world_over(database)
        assert await world.contents(chat, NOBODY) == await exported(world, chat, NOBODY) == contents
        assert await world.found_contents("red", NOBODY) == {"red"}
        stored = await world.store.chat(NOBODY, chat)
        assert stored is not None
        assert (stored.id, stored.title) == (chat, "")
        messages = await world.store.messages(NOBODY, chat, ALL, None)
        assert {message.edited_at for message in messages or []} == {None}
        assert await first.contents(chat) == contents

        assert await world.store.chat(OWNER, chat) is None, "clients do not see what was nobody's"
        assert await world.found("red") == []

    play_migration(empty, scenario)


def test_the_first_release_goes_on_beside_this_one(empty: PostgresStores) -> None:
    async def scenario(database: Database, first: FirstRelease) -> None:
        old_chat = uuid4()
        # Before as well, so that the connection has prepared its statements under the old schema.
        assert await first.append(old_chat, "one") == 1
        assert await first.contents(old_chat) == ["one"]
        await migrations.migrate(database, migrations.load())
        world = world_over(database)

        assert await first.append(old_chat, "two") == 2
        await world.write(lambda writer: writer.append(NOBODY, old_chat, user("three")))
        assert await first.append(old_chat, "four") == 4
        another = uuid4()
        assert await first.append(another, "one") == 1
        ours = await world.new_chat()
        assert await first.append(ours, "one") == 1
        assert (await world.say(ours, "two")).id == 2

        assert await first.contents(old_chat) == ["one", "two", "three", "four"]
        assert await world.contents(old_chat, NOBODY) == ["one", "two", "three", "four"]
        assert await world.contents(another, NOBODY) == ["one"]
        assert await world.contents(ours) == await first.contents(ours) == ["one", "two"]

    play_migration(empty, scenario)


def test_a_schema_newer_than_the_release_is_left_alone(empty: PostgresStores) -> None:
    async def scenario(database: Database, first: FirstRelease) -> None:
        await migrations.migrate(database, migrations.load())
        assert await migrations.migrate(database, migrations.load()[:1]) == []
        assert await migrations.migrate(database, migrations.load()) == []

    play_migration(empty, scenario)


def test_a_migration_that_fails_leaves_no_trace_and_the_first_release_running(empty: PostgresStores) -> None:
    async def scenario(database: Database, first: FirstRelease) -> None:
        broken = Migration(len(migrations.load()) + 1, "0003_broken", "CREATE TABLE half (); SELECT nonsense;")
        with pytest.raises(MigrationError, match="0003_broken"):
            await migrations.migrate(database, [*migrations.load(), broken])
        chat = uuid4()
        assert await first.append(chat, "one") == 1
        assert empty.sql("SELECT version FROM schema_migrations") == "1"
        tables = empty.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").split()
        assert tables == ["chats", "messages", "schema_migrations"]
        await migrations.migrate(database, migrations.load())
        assert await world_over(database).contents(chat, NOBODY) == ["one"]

    play_migration(empty, scenario)


def test_the_tables_refuse_what_no_release_writes(empty: PostgresStores) -> None:
    async def scenario(database: Database, first: FirstRelease) -> None:
        await migrations.migrate(database, migrations.load())
        async with database.connection() as connection:
            for statement in (
                "INSERT INTO chats (id, last_message_id) VALUES (gen_random_uuid(), -1)",
                "INSERT INTO chats (id, owner) VALUES (gen_random_uuid(), repeat('x', 65))",
                "INSERT INTO chats (id, title) VALUES (gen_random_uuid(), repeat('x', 201))",
                "INSERT INTO idempotency_keys VALUES ('o', '', '', 200, '{}', '')",
                "INSERT INTO feedback (owner, score, comment) VALUES ('o', 6, '')",
            ):
                with pytest.raises(asyncpg.CheckViolationError):
                    await connection.execute(statement)

    play_migration(empty, scenario)
