"""Faults of the one PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infra import names
from ops.alerts.fault import Fault
from ops.alerts.faults.acts import held, stopped, stroke
from ops.alerts.scene import Scene

_ROLE = names.POSTGRES_BACKUP_USERNAME
_SHUT_OUT = f"ALTER ROLE {_ROLE} NOLOGIN"
_SHOW_OUT = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{_ROLE}'"  # noqa: S608 - ours
_LET_IN = f"ALTER ROLE {_ROLE} LOGIN"


@contextlib.contextmanager
def _no_wal(scene: Scene) -> Iterator[None]:
    try:
        scene.sql(_SHUT_OUT)
        scene.sql(_SHOW_OUT)
        yield
    finally:
        scene.sql(_LET_IN)


DEADLOCKS = Fault(
    name="deadlocks",
    summary="Transactions wait for one another, six times",
    alerts=("PideaPostgresDeadlocks",),
    act=stroke("deadlocks", "6"),
)
EXHAUSTED = Fault(
    name="connections-exhausted",
    summary="86 % of PostgreSQL's connections are taken, for over five minutes",
    alerts=("PideaPostgresConnectionsExhausted",),
    act=held("connections", "0.86"),
    patience_seconds=480.0,
)
LONG_TRANSACTION = Fault(
    name="long-transaction",
    summary="A transaction is open for over eleven minutes",
    alerts=("PideaPostgresTransactionLong",),
    act=held("transaction"),
    patience_seconds=900.0,
)
NO_WAL = Fault(
    name="wal-not-stored",
    summary="The backup service cannot log in to PostgreSQL, for over ten minutes",
    alerts=("PideaBackupWalLate",),
    act=_no_wal,
    patience_seconds=900.0,
)
# What users notice of it needs requests, which there are all the time.
DOWN = Fault(
    name="postgres-stopped",
    summary="PostgreSQL does not run while chats are read and written",
    alerts=("PideaPostgresDown", "PideaSloBurnsFast", "PideaSloBurns", "PideaStaleAnswers", "PideaErrorRateHigh"),
    act=stopped(names.POSTGRES),
    # Redis answers for five minutes, and a replica's own memory for one more: only then is an answer old.
    patience_seconds=660.0,
    # Half an hour after the last failed request.
    lasting=frozenset({"PideaSloBurns"}),
)
