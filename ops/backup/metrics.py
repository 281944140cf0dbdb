"""The service's figures in Prometheus' text format."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.backup import state

_PREFIX = "pidea_backup_"
# What a job records, and what it is called: of every job, then of one.
_EACH = {
    "last_success_timestamp_seconds": "When the job last succeeded.",
    "last_failure_timestamp_seconds": "When the job last failed.",
    "duration_seconds": "How long the job took when it last succeeded.",
    "bytes": "What was read for the backup, before it was deduplicated.",
}
_ONE = (
    ("wal", "until_timestamp_seconds", "wal_until_timestamp_seconds", "All that was acknowledged by then is stored."),
    ("tidy", "repository_bytes", "repository_bytes", "What the repository takes."),
    ("tidy", "restore_bytes", "restore_bytes", "What all snapshots would take without deduplication."),
    ("drill", "rto_seconds", "drill_rto_seconds", "The longest restore of the last drill."),
    ("drill", "rpo_seconds", "drill_rpo_seconds", "How old the newest restorable moment was at the last drill."),
    ("drill", "mismatches", "drill_mismatches", "Differences that the last drill found."),
)


def text(data: Path, started_timestamp_seconds: float) -> str:
    """All of them, from what the jobs have recorded."""
    known = state.read(data)
    return "\n".join([*_lines(known, data, started_timestamp_seconds), ""])


def _lines(known: Mapping[str, Mapping[str, Any]], data: Path, started: float) -> Iterator[str]:
    for key, help_text in _EACH.items():
        found = {job: values[key] for job, values in sorted(known.items()) if values.get(key)}
        if found:
            yield from _head(key, help_text)
            yield from (f'{_PREFIX}{key}{{backup="{job}"}} {value}' for job, value in found.items())
    yield from _head("failing", "1 where the last run of the job failed.")
    yield from (f'{_PREFIX}failing{{backup="{job}"}} {int(_fails(values))}' for job, values in sorted(known.items()))
    for job, key, name, help_text in _ONE:
        if key in known.get(job, {}):
            yield from _head(name, help_text)
            yield f"{_PREFIX}{name} {known[job][key]}"
    yield from _head("free_bytes", "What is free where the backups are.")
    yield f"{_PREFIX}free_bytes {shutil.disk_usage(data).free}"
    yield from _head("started_timestamp_seconds", "When the service started.")
    yield f"{_PREFIX}started_timestamp_seconds {started}"
    yield from _head("time_seconds", "The service's clock.")
    yield f"{_PREFIX}time_seconds {time.time()}"


def _head(name: str, help_text: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {help_text}"
    yield f"# TYPE {_PREFIX}{name} gauge"


def _fails(values: Mapping[str, Any]) -> bool:
    failed = float(values.get("last_failure_timestamp_seconds", 0))
    return failed > float(values.get("last_success_timestamp_seconds", 0))
