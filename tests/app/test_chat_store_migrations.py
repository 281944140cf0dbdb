"""PostgreSQL's migrations: what the release before wrote stays readable, and it goes on beside this one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from app.errors import (
    MigrationError,
)
from app.storage import migrations, postgres
from app.storage.migrations import Migration
from app.storage.postgres import Database
from app.storage.postgres_chats import PostgresChats
from tests.app.stores import (
    ALL,
    CONTENTS,
    KEY_TTL_SECONDS,
    OWNER,
    PostgresStores,
    World,
    exported,
    user,
)

pytestmark = pytest.mark.app


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


def test_a_replica_waits_for_anothers_migration_for_longer_than_a_request_may(empty: PostgresStores) -> None:
    """On a cluster, whose requests give up a lock after two seconds."""

    async def run() -> None:
        async with empty.pool(servers=3) as one, empty.pool(servers=3) as two:
            async with one.connection() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", migrations.LOCK_KEY)
                waiting = asyncio.create_task(migrations.migrate(two, migrations.load()))
                await asyncio.sleep(postgres.LOCK_SECONDS + 0.5)
                assert not waiting.done()
            assert await waiting == [migration.name for migration in migrations.load()]

    asyncio.run(run())


def test_a_table_that_is_not_to_be_had_is_waited_for_no_longer_than_by_a_request(empty: PostgresStores) -> None:
    """Everybody who asks for the table meanwhile waits behind the migration."""

    async def run() -> None:
        async with empty.pool(servers=3) as database:
            await migrations.migrate(database, migrations.load())
            async with empty.hold():
                harmless = Migration(
                    len(migrations.load()) + 1, "9999_lock", "ALTER TABLE chats SET (fillfactor = 100)"
                )
                with pytest.raises(MigrationError, match="lock timeout"):
                    await migrations.migrate(database, [*migrations.load(), harmless])

    asyncio.run(run())


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
