"""Writes with a key over both stores, and writes that do not come to their end: once or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import asyncpg
import pytest

from app import context
from app.chats.store import ChatStore, IdempotentRequest, StoredResponse, Writer
from app.errors import (
    DeadlineExceededError,
    IdempotencyInFlightError,
    IdempotencyMismatchError,
    NotFoundError,
)
from tests.app.stores import (
    ALL,
    KEY_TTL_SECONDS,
    OK,
    OTHER,
    OWNER,
    PostgresStores,
    Stores,
    World,
    keyed,
    user,
)

pytestmark = pytest.mark.app

# Far longer than any wait takes; it only ends a failing test.
PATIENCE_SECONDS = 8.0


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
