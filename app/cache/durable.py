"""L3: entries on disk, for the time when the origin is away. Survives restarts of this process and of Redis.

One SQLite file, which the replicas on one machine share. It is only a cache: a file that cannot be read is put aside
and begun anew, and whatever goes wrong with the disk costs the service its last resort and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiosqlite

from app.cache.codec import decode, encode
from app.cache.entry import Entry, Key
from app.events import CacheFailed, Listener

# With the format of the codec and of the table, so that another release finds its own.
FILE_NAME = "l3-v1.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    grp TEXT NOT NULL, item TEXT NOT NULL, stored_at REAL NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (grp, item)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_age ON entries (stored_at);
CREATE TABLE IF NOT EXISTS total (id INTEGER PRIMARY KEY CHECK (id = 1), bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO total VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS entry_in AFTER INSERT ON entries
    BEGIN UPDATE total SET bytes = bytes + new.size; END;
CREATE TRIGGER IF NOT EXISTS entry_out AFTER DELETE ON entries
    BEGIN UPDATE total SET bytes = bytes - old.size; END;
"""
PUT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?)"
GET = "SELECT data FROM entries WHERE grp = ? AND item = ?"
DELETE = "DELETE FROM entries WHERE grp = ? AND item = ? AND stored_at <= ?"
DELETE_GROUP = "DELETE FROM entries WHERE grp = ? AND stored_at <= ?"
EXPIRE = "DELETE FROM entries WHERE stored_at < ?"
# A slice of the oldest at a time, until there is room.
EVICT = "DELETE FROM entries WHERE (grp, item) IN (SELECT grp, item FROM entries ORDER BY stored_at LIMIT 50)"
TOTAL = "SELECT bytes FROM total"

ROW_OVERHEAD_BYTES = 200
BATCH_SECONDS = 0.05
BUSY_SECONDS = 2.0
CLOSE_SECONDS = 1.0
READ_SECONDS = 0.25
MAX_QUEUED_BYTES = 16 * 1024 * 1024
# Drops that are remembered, to refuse what was loaded before them and comes late.
MAX_DROPS = 10_000

DISK_ERRORS = (sqlite3.Error, OSError, ValueError)


class DurableTier:
    """A DurableStore. Made by `open_tier`; all methods are called in one event loop."""

    def __init__(
        self,
        connection: aiosqlite.Connection | None,
        emit: Listener,
        *,
        ttl_seconds: float,
        max_bytes: int,
        compress_above_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._emit = emit
        self._ttl_seconds = ttl_seconds
        self._max_bytes = max_bytes
        self._compress_above_bytes = compress_above_bytes
        self._clock = clock
        self._puts: OrderedDict[Key, Entry] = OrderedDict()
        self._queued_bytes = 0
        self._drops: OrderedDict[str, float] = OrderedDict()
        self._new_drops: dict[str, float] = {}
        self._wake = asyncio.Event()

    @property
    def queued(self) -> int:
        """Changes that are not on disk yet."""
        return len(self._puts) + len(self._new_drops)

    async def get(self, key: Key) -> Entry | None:
        """See DurableStore."""
        entry = self._puts.get(key) or await self._read(key)
        if entry is None or entry.stored_at <= self._drops.get(key.group, -1.0):
            return None
        return entry if self._clock() - entry.stored_at <= self._ttl_seconds else None

    def put_soon(self, key: Key, entry: Entry) -> None:
        """See DurableStore."""
        if self._connection is None or entry.stored_at <= self._drops.get(key.group, -1.0):
            return
        earlier = self._puts.pop(key, None)
        if earlier is not None:
            self._queued_bytes -= len(earlier.body or b"")
        self._puts[key] = entry
        self._queued_bytes += len(entry.body or b"")
        while self._queued_bytes > MAX_QUEUED_BYTES:
            # The disk does not keep up: the oldest goes, the newest is what a reader will want.
            _, dropped = self._puts.popitem(last=False)
            self._queued_bytes -= len(dropped.body or b"")
        self._wake.set()

    def drop_soon(self, group: str) -> None:
        """See DurableStore."""
        if self._connection is None:
            return
        now = self._clock()
        self._drops[group] = now
        self._drops.move_to_end(group)
        if len(self._drops) > MAX_DROPS:
            self._drops.popitem(last=False)
        self._new_drops[group] = now
        self._wake.set()

    async def write_for_ever(self) -> None:
        """Write what has queued up, in batches."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(BATCH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write all that is queued now, in one transaction."""
        self._wake.clear()
        puts, self._puts = self._puts, OrderedDict()
        drops, self._new_drops = self._new_drops, {}
        self._queued_bytes = 0
        if self._connection is None or not (puts or drops):
            return
        fresh = {key: entry for key, entry in puts.items() if entry.stored_at > self._drops.get(key.group, -1.0)}
        rows = [self._row(key, entry) for key, entry in fresh.items()]
        try:
            await self._write(self._connection, rows, drops)
        except DISK_ERRORS as error:
            self._failed("write", error)

    def _row(self, key: Key, entry: Entry) -> tuple[str, str, float, int, bytes]:
        data = encode(entry, self._compress_above_bytes)
        return key.group, key.item, entry.stored_at, len(data) + ROW_OVERHEAD_BYTES, data

    async def _write(
        self,
        connection: aiosqlite.Connection,
        rows: list[tuple[str, str, float, int, bytes]],
        drops: dict[str, float],
    ) -> None:
        await connection.execute("BEGIN IMMEDIATE")
        try:
            await connection.executemany(DELETE_GROUP, list(drops.items()))
            for row in rows:
                await connection.execute(DELETE, row[:3])
                # Another replica's newer entry stays.
                with contextlib.suppress(sqlite3.IntegrityError):
                    await connection.execute(PUT, row)
            await connection.execute(EXPIRE, (self._clock() - self._ttl_seconds,))
            while await _total_bytes(connection) > self._max_bytes:
                await connection.execute(EVICT)
            await connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(*DISK_ERRORS):
                await connection.execute("ROLLBACK")
            raise

    async def _read(self, key: Key) -> Entry | None:
        if self._connection is None:
            return None
        try:
            async with asyncio.timeout(READ_SECONDS), self._connection.execute(GET, (key.group, key.item)) as rows:
                row = await rows.fetchone()
        except (*DISK_ERRORS, TimeoutError) as error:
            self._failed("read", error)
            return None
        return None if row is None else decode(row[0])

    def _failed(self, operation: str, error: Exception) -> None:
        self._emit(CacheFailed("l3", operation, str(error) or type(error).__name__))


@contextlib.asynccontextmanager
async def open_tier(
    folder: Path, emit: Listener, *, ttl_seconds: float, max_bytes: int, compress_above_bytes: int
) -> AsyncIterator[DurableTier]:
    """The tier in `folder`; one that keeps nothing, and says so, where the folder cannot be used. Raises nothing."""
    try:
        connection = await _open_or_begin_anew(folder)
    except DISK_ERRORS as error:
        emit(CacheFailed("l3", "open", str(error)))
        connection = None
    tier = DurableTier(
        connection,
        emit,
        ttl_seconds=ttl_seconds,
        max_bytes=max_bytes,
        compress_above_bytes=compress_above_bytes,
    )
    writer = asyncio.create_task(tier.write_for_ever())
    try:
        yield tier
    finally:
        writer.cancel()
        await asyncio.wait((writer,))
        if connection is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await tier.flush()
            with contextlib.suppress(*DISK_ERRORS):
                await connection.close()


async def _open_or_begin_anew(folder: Path) -> aiosqlite.Connection:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / FILE_NAME
    try:
        return await _open(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
    # Not a database: keep it for whoever wants to know why, and go on with an empty one.
    path.replace(path.with_suffix(".broken"))
    for leftover in (f"{path}-wal", f"{path}-shm"):
        Path(leftover).unlink(missing_ok=True)
    return await _open(path)


async def _open(path: Path) -> aiosqlite.Connection:
    path.touch(mode=0o600)
    connection = await aiosqlite.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        await connection.execute("PRAGMA journal_mode=WAL")
        # After a power cut the last entries may be missing; the file is whole.
        await connection.execute("PRAGMA synchronous=NORMAL")
        await connection.execute("PRAGMA journal_size_limit=4194304")
        await connection.executescript(SCHEMA)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _total_bytes(connection: aiosqlite.Connection) -> int:
    async with connection.execute(TOTAL) as rows:
        row = await rows.fetchone()
    return int(row[0]) if row else 0
