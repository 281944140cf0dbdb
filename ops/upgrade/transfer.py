"""All rows of one PostgreSQL into the new folder of another version, and the proof that they are the same.

Dumped by the newer version's programs and read in again: nothing of the old files is changed, and every index is made
anew, whatever the C library of the old release thought of the order of words. Both servers hear only each other,
through sockets in the volume.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from infra import names
from ops.errors import DeployError
from ops.stack.volumes import Volume
from ops.upgrade.bench import Run, bench

_Found = TypeVar("_Found")

Say = Callable[[str], None]
_STEPS = Path(__file__).with_suffix(".sh").read_text()
_OLD_PORT, _NEW_PORT = "5432", "5433"
# What reads rows must not be able to change them.
_READ_ONLY = "default_transaction_read_only = on"
# A folder that is not whole is thrown away, so nothing in it needs to be safe before the end.
_LOADING = "fsync = off\nfull_page_writes = off\nwal_level = minimal\nmax_wal_senders = 0"
_SHOWN = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """A version's image, and the folder of the volume that has its files: `/data/15`."""

    image: str
    folder: str


@dataclasses.dataclass(frozen=True)
class Contents:
    """Every table and sequence of every database, by the database's name and its own: rows, and a digest of them."""

    tables: Mapping[tuple[str, str], tuple[int, str]]
    sequences: Mapping[tuple[str, str], str]

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each table of the application's database has, as the backup service counts them."""
        return {
            name: rows for (database, name), (rows, _) in self.tables.items() if database == names.POSTGRES_DATABASE
        }

    def differences(self, after: Contents) -> list[str]:
        """A line for each table or sequence that is not the same in `after`."""
        lines = []
        for (database, name), there, here in _pairs(self.tables, after.tables):
            rows_there, rows_here = (found[0] if found else "no" for found in (there, here))
            other = ", with other contents" if rows_there == rows_here else ""
            lines.append(f"{database}: {name}: {rows_there} rows before, {rows_here} after{other}")
        for (database, name), at, now in _pairs(self.sequences, after.sequences):
            lines.append(f"{database}: {name}: the sequence was at {at} before, is at {now} after")
        return lines


def _pairs(
    before: Mapping[tuple[str, str], _Found], after: Mapping[tuple[str, str], _Found]
) -> Iterator[tuple[tuple[str, str], _Found | None, _Found | None]]:
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield key, before.get(key), after.get(key)


def contents(volume: Volume, side: Side, *, memory_bytes: int) -> Contents:
    """What is in files that no server has open; they stay as they are but for the server's own notes."""
    with bench(volume, "old", side.image, memory_bytes=memory_bytes) as run:
        run(_STEPS, "meet")
        try:
            run(_STEPS, "start", side.folder, _OLD_PORT, _READ_ONLY)
            found = _read(run(_STEPS, "rows", _OLD_PORT))
            run(_STEPS, "stop", side.folder, "fast")
        finally:
            run(_STEPS, "stop", side.folder, "fast")
            run(_STEPS, "part")
    return found


def transfer(volume: Volume, old: Side, new: Side, say: Say, *, memory_bytes: int) -> Contents:
    """Makes `new.folder` with all that is in `old.folder`, which keeps it; gives what is in both.

    Under its name it is there whole or not at all. Raises DeployError where anything in it differs.
    """
    unfinished = f"{new.folder}.new"
    with (
        bench(volume, "old", old.image, memory_bytes=memory_bytes) as in_old,
        bench(volume, "new", new.image, memory_bytes=memory_bytes) as in_new,
        _ended(in_old, old.folder, in_new, unfinished),
    ):
        in_old(_STEPS, "meet")
        in_old(_STEPS, "start", old.folder, _OLD_PORT, _READ_ONLY)
        in_new(_STEPS, "make", unfinished)
        in_new(_STEPS, "start", unfinished, _NEW_PORT, _LOADING)
        say("copying all rows into the new version's files")
        in_new(_STEPS, "copy")
        say("comparing every row, and what the databases are beside their rows")
        found = _compare(in_new)
        in_new(_STEPS, "stop", unfinished, "fast")
        in_old(_STEPS, "stop", old.folder, "fast")
        in_new(_STEPS, "finish", unfinished, new.folder)
    return found


@contextlib.contextmanager
def _ended(in_old: Run, old: str, in_new: Run, unfinished: str) -> Iterator[None]:
    """Whatever happens inside: no server runs afterwards, and nothing half done is left."""
    try:
        yield
    finally:
        with contextlib.suppress(DeployError):
            in_old(_STEPS, "stop", old, "fast")
        with contextlib.suppress(DeployError):
            in_new(_STEPS, "stop", unfinished, "immediate")
        in_new('rm -rf "$1"', unfinished)
        in_old(_STEPS, "part")


def _compare(run: Run) -> Contents:
    before, after = (_read(run(_STEPS, "rows", port)) for port in (_OLD_PORT, _NEW_PORT))
    differences = before.differences(after)
    was, now = (run(_STEPS, "shape", port).splitlines() for port in (_OLD_PORT, _NEW_PORT))
    if was != now:
        differences += [f"not there any more: {line}" for line in was if line not in now][:_SHOWN]
        differences += [f"not there before: {line}" for line in now if line not in was][:_SHOWN]
        differences.append("the databases' definitions are not the same")
    if differences:
        raise DeployError("\n".join(["The new version's files do not hold what the old ones do:", *differences]))
    return after


def _read(output: str) -> Contents:
    items = [json.loads(line) for line in output.splitlines() if line.strip()]
    return Contents(
        {(item["database"], item["table"]): (int(item["rows"]), item["digest"]) for item in items if "table" in item},
        {(item["database"], item["sequence"]): str(item["digest"]) for item in items if "sequence" in item},
    )
