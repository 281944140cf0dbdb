"""restic: the repository's commands, and its snapshots as data."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ops.backup import process
from ops.backup.errors import PasswordError, RequestError, ToolError
from ops.backup.process import Piped

_SECONDS = 7200.0
_LOCKED = "already locked"
_WRONG_PASSWORD = ("wrong password or no key found", "no key found")
_NO_REPOSITORY = ("Is there a repository at the following location", "unable to open config file")

_Made = TypeVar("_Made")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One snapshot. `about` holds its tags of the form `key=value`; `kind` is one of them."""

    id: str
    time: datetime.datetime
    about: Mapping[str, str]

    @property
    def kind(self) -> str:
        """`base`, `wal`, `redis`, `alertmanager` or `state`."""
        return self.about.get("kind", "")

    @property
    def short_id(self) -> str:
        """As people write it."""
        return self.id[:8]


class Restic:
    """A repository. Every method raises ToolError with restic's words, PasswordError where it does not open."""

    def __init__(self, repository: str, password_file: Path, cache: Path, *, upload_kib_per_second: int = 0) -> None:
        self.repository = repository
        self._environment = {
            "RESTIC_REPOSITORY": repository,
            "RESTIC_PASSWORD_FILE": str(password_file),
            "RESTIC_CACHE_DIR": str(cache),
            "RESTIC_PROGRESS_FPS": "1",
            # It says where it writes temporary files; the container's root cannot be written to.
            "TMPDIR": str(cache.parent / "tmp"),
            "GOMAXPROCS": "2",
        }
        self._limit = ["--limit-upload", str(upload_kib_per_second)] if upload_kib_per_second else []

    def run(self, *arguments: str, stdin: str = "") -> str:
        """The output of any of its commands."""
        command = ["restic", *self._limit, *arguments]
        return self._twice(lambda: process.run(command, self._environment, timeout_seconds=_SECONDS, stdin=stdin))

    def ensure(self) -> None:
        """Makes the repository where there is none."""
        if Path(self.repository).is_absolute() and not (Path(self.repository) / "config").exists():
            self.run("init", "--repository-version", "2")
            return
        try:
            self.run("cat", "config", "--no-lock")
        except PasswordError:
            raise
        except ToolError as error:
            if not any(sign in error.said for sign in _NO_REPOSITORY):
                raise
            self.run("init", "--repository-version", "2")

    def snapshots(self, kind: str | None = None) -> list[Snapshot]:
        """All of them, or those of a kind, the oldest first."""
        tags = ["--tag", f"kind={kind}"] if kind else []
        found = json.loads(self.run("snapshots", "--json", "--no-lock", *tags) or "[]") or []
        return sorted((_snapshot(item) for item in found), key=lambda snapshot: snapshot.time)

    def store_stream(
        self,
        source: Sequence[str],
        environment: Mapping[str, str],
        name: str,
        about: Mapping[str, str],
        *,
        bytes_per_second: int = 0,
    ) -> tuple[str, Piped]:
        """Stores what a program writes as the file `name`; gives the snapshot's id, and what went through."""
        command = ["restic", *self._limit, "backup", "--json", "--stdin", "--stdin-filename", name, *_tags(about)]
        through = self._twice(
            lambda: process.pipe(source, environment, command, self._environment, bytes_per_second=bytes_per_second)
        )
        return str(_summary(through.wrote)["snapshot_id"]), through

    def store_text(self, text: str, name: str, about: Mapping[str, str]) -> str:
        """Stores a text as the file `name`; gives the snapshot's id."""
        wrote = self.run("backup", "--json", "--stdin", "--stdin-filename", name, *_tags(about), stdin=text)
        return str(_summary(wrote)["snapshot_id"])

    def store_folder(self, folder: Path, about: Mapping[str, str]) -> tuple[str, int]:
        """Stores a folder; gives the snapshot's id and the bytes that the repository grew by."""
        summary = _summary(self.run("backup", "--json", str(folder), *_tags(about)))
        return summary["snapshot_id"], int(summary.get("data_added", 0))

    def tag(self, snapshot_id: str, about: Mapping[str, str]) -> None:
        """Adds to what a snapshot says about itself. It has another id afterwards."""
        added = [option for key, value in about.items() for option in ("--add", f"{key}={value}")]
        self.run("tag", *added, snapshot_id)

    def restore(self, snapshot_id: str, target: Path) -> None:
        """Unpacks a snapshot into a folder, its path in it. Every byte is checked against its digest."""
        self.run("restore", "--no-lock", snapshot_id, "--target", str(target))

    def dump_command(self, snapshot_id: str, name: str) -> tuple[list[str], Mapping[str, str]]:
        """The command that writes a stored file to its stdout, and its environment."""
        return ["restic", "dump", "--no-lock", snapshot_id, f"/{name}"], self._environment

    def dump(self, snapshot_id: str, name: str) -> str:
        """A stored text."""
        return self.run("dump", "--no-lock", snapshot_id, f"/{name}")

    def forget(self, ids: Sequence[str]) -> None:
        """Takes snapshots away; their data stays until the next prune."""
        if ids:
            self.run("forget", *ids)

    def prune(self) -> None:
        """Frees what no snapshot needs. Nobody else may write meanwhile."""
        self.run("prune", "--max-unused", "5%")

    def unlock(self) -> None:
        """Removes every lock. For the one who knows that nobody prunes: a killed run leaves its own behind."""
        process.run(["restic", "unlock", "--remove-all"], self._environment)

    def check(self, share: str) -> None:
        """Reads `share` of the stored data (`5%`, `100%`) and checks it. Raises ToolError with what is damaged."""
        self.run("check", "--no-lock", "--read-data-subset", share)

    def sizes(self) -> tuple[int, int]:
        """Bytes in the repository, and bytes that all snapshots would take restored."""
        raw = json.loads(self.run("stats", "--json", "--no-lock", "--mode", "raw-data"))
        whole = json.loads(self.run("stats", "--json", "--no-lock", "--mode", "restore-size"))
        return int(raw["total_size"]), int(whole["total_size"])

    def _twice(self, attempt: Callable[[], _Made]) -> _Made:
        try:
            return attempt()
        except ToolError as error:
            if any(sign in error.said for sign in _WRONG_PASSWORD):
                what = f"Opening the repository {self.repository}"
                raise PasswordError(what, "the password is wrong; use the one that it was made with") from None
            if _LOCKED not in error.said:
                raise
        # Whoever needs the repository for himself holds both of our own locks (see `state.alone`), and we hold one: so
        # this lock is what a killed process has left behind.
        self.unlock()
        return attempt()


def one(snapshots: Sequence[Snapshot], wanted: str) -> Snapshot:
    """The snapshot whose id begins so. Raises RequestError where there is none, or several."""
    found = [snapshot for snapshot in snapshots if len(wanted) >= 4 and snapshot.id.startswith(wanted)]
    if len(found) != 1:
        raise RequestError(f"There is no snapshot {wanted}; `backup list` says what there is.")
    return found[0]


def _tags(about: Mapping[str, str]) -> Iterator[str]:
    for key, value in about.items():
        yield from ("--tag", f"{key}={value}")


def _summary(output: str) -> dict[str, Any]:
    for line in reversed(output.splitlines()):
        if '"summary"' in line:
            return dict(json.loads(line))
    raise ToolError("restic backup", "no summary in its output")


def _snapshot(item: Mapping[str, Any]) -> Snapshot:
    pairs = (tag.partition("=") for tag in item.get("tags") or [])
    # Go writes nanoseconds.
    text = item["time"]
    whole, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789") or "Z"
    moment = datetime.datetime.fromisoformat(whole + "." + rest[: len(rest) - len(zone)][:6].ljust(6, "0") + zone)
    return Snapshot(id=item["id"], time=moment, about={key: value for key, _, value in pairs})
