"""Schema migrations: numbered .sql files, applied in order at start-up.

Plain SQL instead of Alembic: Alembic brings SQLAlchemy into every replica for a handful of statements, and
its revisions would be plain SQL here all the same, since nothing else uses an ORM.

All pending files run in one transaction that holds an advisory lock: replicas that start together wait for
the first and then find nothing to do, and a failing file leaves no trace. A migration must keep the release
before it working (add first, remove in a later release), because both run side by side during a rolling
update and after a rollback; therefore a schema newer than the code is not an error.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from app.errors import MigrationError
from app.storage.postgres import Database

log = logging.getLogger(__name__)

LOCK_KEY = int.from_bytes(b"pidea", "big")
TIMEOUT_SECONDS = 60.0
FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name and what it runs."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, to notice a file that was edited after it had been applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load(folder: Path = Path(__file__).parent) -> list[Migration]:
    """All migrations in order; MigrationError for a badly named file or a gap in the numbers."""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: a migration is named like 0001_what_it_does.sql")
        migrations.append(Migration(int(match[1]), path.stem, path.read_text(encoding="utf-8")))
    if [migration.version for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError("the numbers of the migrations must be 0001, 0002, … without gap or repetition")
    return migrations


async def migrate(database: Database, migrations: list[Migration]) -> list[str]:
    """Bring the schema up to date and return the names of what was applied now."""
    async with database.connection() as connection, connection.transaction():
        # The pool's limits are for requests; waiting for another replica's migration may take longer. Not so for the
        # tables: everybody would wait behind who waits for one.
        await connection.execute(
            f"SET LOCAL statement_timeout = {int(TIMEOUT_SECONDS * 1000)}; SET LOCAL lock_timeout = 0"
        )
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY, timeout=TIMEOUT_SECONDS)
        await connection.execute("SET LOCAL lock_timeout TO DEFAULT")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text NOT NULL,"
            " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        rows = await connection.fetch("SELECT version, checksum FROM schema_migrations")
        applied = {row["version"]: row["checksum"] for row in rows}
        done = []
        for migration in migrations:
            if migration.version in applied:
                if applied[migration.version] != migration.checksum:
                    raise MigrationError(f"{migration.name} was edited after it was applied: undo, add a new one")
                continue
            try:
                await connection.execute(migration.sql, timeout=TIMEOUT_SECONDS)
            except asyncpg.PostgresError as error:
                raise MigrationError(f"{migration.name} failed: {error}") from error
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
            done.append(migration.name)
    if done:
        log.info("schema migrated: %s", ", ".join(done))
    return done
