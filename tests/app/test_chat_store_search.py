"""The search over both stores: whole words of any script, nothing in a query is an operator."""

from __future__ import annotations

import pytest

from app.chats.words import WORD
from tests.app.stores import (
    ALL,
    OWNER,
    Stores,
    World,
)

pytestmark = pytest.mark.app


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
