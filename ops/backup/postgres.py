"""PostgreSQL as a client sees it: its WAL position, base backups, and what is in its tables."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ops.backup import process
from ops.backup.errors import ToolError
from ops.backup.settings import Settings

SLOT = "pidea_backup"
# Digests of all tables are read in one query.
_QUERY_SECONDS = 1800.0
_TRIES_FOR_A_QUIET_MOMENT = 25

# A moment at which nobody writes: the WAL ends where it ended just before, and no transaction is open that has written.
_TRY_A_MOMENT = r"""
\if :quiet
\else
COMMIT;
SELECT pg_current_wal_insert_lsn() AS before \gset
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_current_wal_insert_lsn() AS lsn,
  pg_current_wal_insert_lsn() = :'before'
    AND pg_snapshot_xmin(pg_current_snapshot()) = pg_snapshot_xmax(pg_current_snapshot()) AS quiet,
  to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS time \gset
\endif
"""
_TABLES = """
SELECT coalesce(json_agg(format('%I.%I', schemaname, tablename) ORDER BY 1), '[]') FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""
# How many rows, and a sum over the digests of all of them, which no order changes.
_DIGEST = (
    "SELECT json_build_object('rows', count(*), 'digest', "
    "coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0)::text) FROM {table} t"
)

# The newest migration of the application, where it has been there.
_SCHEMA = """
SELECT to_regclass('public.schema_migrations') IS NOT NULL AS migrated \\gset
\\if :migrated
SELECT max(version) FROM public.schema_migrations;
\\endif
"""
# The server moves a slot on as its receiver says that it has WAL on its disk.
_RECEIVED = f"SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '{SLOT}' AND active;"  # noqa: S608 - a constant


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    """Where in the WAL a base begins."""

    start_lsn: str
    timeline: int


@functools.cache
def major() -> str:
    """The major version of the programs here: what they can restore."""
    said = process.run(["postgres", "--version"], {})
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    if found is None:
        raise ToolError("postgres --version", said)
    return found[1]


def major_of_server(settings: Settings) -> str:
    """The major version of the server, which this service may have been started before."""
    (row,) = query(settings, "SHOW server_version_num;")
    return str(int(row) // 10_000)


def passwords(settings: Settings) -> dict[str, str]:
    """The environment by which PostgreSQL's programs find the password: a file in memory that they alone read."""
    path = settings.memory / "pgpass"
    if not path.exists():
        unfinished = path.with_name(f"pgpass.{os.getpid()}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"*:*:*:*:{settings.postgres_password_file.read_text().strip()}\n")
        unfinished.rename(path)
    return {"PGPASSFILE": str(path), "PGCONNECT_TIMEOUT": "5"}


def connection(settings: Settings, wanted: str, database: str | None = None) -> str:
    """How to reach a server that is `primary` or `prefer-standby`."""
    fields = {
        "host": ",".join(settings.postgres_hosts),
        "port": str(settings.postgres_port),
        "user": settings.postgres_user,
        "target_session_attrs": wanted,
        "application_name": SLOT,
        **({"dbname": database} if database else {}),
    }
    return " ".join(f"{key}={value}" for key, value in fields.items())


def query(settings: Settings, script: str) -> list[str]:
    """The rows that the primary gives, unaligned. `script` is psql's. Raises ToolError."""
    command = [
        "psql",
        "--no-psqlrc",
        "--no-align",
        "--tuples-only",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
    ]
    where = connection(settings, "primary", settings.postgres_database)
    return process.run(
        [*command, where], passwords(settings), timeout_seconds=_QUERY_SECONDS, stdin=f"{script}\n"
    ).splitlines()


def flushed(settings: Settings) -> tuple[str, str]:
    """Where the primary's WAL ends that is on its disk, and its time just before: all acknowledged by then is in it."""
    (row,) = query(
        settings,
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"'),"
        " pg_current_wal_flush_lsn();",
    )
    time, _, lsn = row.partition("|")
    return lsn, time


def received(settings: Settings) -> str | None:
    """How far our receiver says that it has WAL on its disk; None while it does not stream."""
    rows = query(settings, _RECEIVED)
    return rows[0] if rows and rows[0] else None


def position(lsn: str) -> int:
    """A place in the WAL as a number: `0/3000060`."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def base_command(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """The command that writes a base to its stdout as a tar, from a standby where there is one."""
    command = ["pg_basebackup", "--pgdata=-", "--format=tar", "--wal-method=none", "--checkpoint=fast", "--verbose"]
    # A server's own throttle: it reads its disk no faster than we are to send.
    if settings.upload_kib_per_second:
        command.append(f"--max-rate={max(32, min(settings.upload_kib_per_second, 1_048_576))}k")
    return [
        *command,
        "--no-password",
        "--dbname",
        connection(settings, "prefer-standby"),
    ], passwords(settings)


def size_bytes(settings: Settings) -> int:
    """What all databases take on the server's disk."""
    (row,) = query(settings, "SELECT sum(pg_database_size(oid)) FROM pg_database;")
    return int(row)


def base_of(head: bytes) -> Base:
    """What the label of a base says, which comes first in its tar. Raises ToolError where there is none."""
    start = re.search(rb"START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) \(file [0-9A-F]{24}\)", head)
    timeline = re.search(rb"START TIMELINE: (\d+)", head)
    if start is None or timeline is None:
        raise ToolError("pg_basebackup", "no backup label at the beginning of what it wrote")
    return Base(start_lsn=start[1].decode(), timeline=int(timeline[1]))


def content(settings: Settings) -> dict[str, Any]:
    """What is in the tables at one moment: `lsn` and `time` of it, and `tables` with rows and digest of each.

    `exact` says that nobody wrote at that very moment: a restore to `lsn` then has just these rows.
    """
    names = json.loads("\n".join(query(settings, f"{_TABLES};")))
    script = [
        "\\set quiet false",
        # One process, so that users have the other processors: nobody waits for a digest.
        "SET max_parallel_workers_per_gather = 0;",
        "BEGIN;",
        *([_TRY_A_MOMENT] * _TRIES_FOR_A_QUIET_MOMENT),
        "SELECT json_build_object('lsn', :'lsn', 'time', :'time', 'exact', :'quiet'::boolean);",
        *(f"{_DIGEST.format(table=name)};" for name in names),
        "COMMIT;",
    ]
    about, *digests = query(settings, "\n".join(script))
    return {
        **json.loads(about),
        "tables": {name: json.loads(digest) for name, digest in zip(names, digests, strict=True)},
    }


def schema(settings: Settings) -> int | None:
    """The number of the newest migration that the application has made; None where it has made none."""
    return _number(query(settings, _SCHEMA))


def schema_of(run: Sequence[str]) -> int | None:
    """The same of a server that `run` (psql with its options) reaches."""
    return _number(process.run(run, {}, stdin=_SCHEMA).splitlines())


def _number(rows: Sequence[str]) -> int | None:
    return int(rows[0]) if rows and rows[0] else None


def compare(recorded: Mapping[str, Any], restored: Mapping[str, Any]) -> list[str]:
    """What differs, a line for each table."""
    return [
        f"{table}: {there.get('rows')} rows were recorded, {restored.get(table, {}).get('rows')} came back"
        + ("" if there.get("rows") != restored.get(table, {}).get("rows") else ", with other contents")
        for table, there in recorded.items()
        if dict(there) != dict(restored.get(table, {}))
    ]


def tables_of(run: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """The same of a server that `run` (psql with its options) reaches."""
    names = json.loads(process.run([*run, "--command", _TABLES], environment))
    return {
        name: json.loads(process.run([*run, "--command", _DIGEST.format(table=name)], environment)) for name in names
    }
