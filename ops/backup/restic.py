"""restic: the repository's commands, and its snapshots as data."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ops.backup import process
from ops.backup.errors import PasswordError, RequestError, ToolError
from ops.backup.location import Location, options_of_both
from ops.backup.log import Progress
from ops.backup.process import Piped

# The tag with the name of the stack that a snapshot is of.
INSTANCE = "instance"
# The tag by which snapshots are in order. Their times are not: a clock may be set back.
NUMBER = "number"
_SECONDS = 7200.0
# For what is small and people wait for. Where an S3 server does not answer, restic itself goes on trying for long.
_ANSWER_SECONDS = 90.0
_LOCKED = "already locked"
_WRONG_PASSWORD = ("wrong password or no key found", "no key found")
_NO_CONFIG = "unable to open config file"
_SSH_SAYS, _SSH_ENDED = "subprocess ssh: ", "unable to start the sftp session"
_MUTE_ATTEMPTS = 4
# In the words of a file system or SFTP, of S3, and of a REST server.
_NOT_THERE = ("no such file", "does not exist", "(404)")

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
    def number(self) -> int:
        """The later it was made, the higher; 0 before there were numbers."""
        return int(self.about.get(NUMBER, 0))

    @property
    def order(self) -> tuple[int, datetime.datetime]:
        """What snapshots are sorted by, the oldest first."""
        return self.number, self.time

    @property
    def short_id(self) -> str:
        """As people write it."""
        return self.id[:8]


class Restic:
    """A repository. Every method raises ToolError with restic's words, PasswordError where it does not open.

    `next_number` gives the number of each new snapshot.
    """

    def __init__(
        self,
        location: Location,
        password_file: Path,
        cache: Path,
        *,
        instance: str,
        next_number: Callable[[], int],
        upload_kib_per_second: int = 0,
    ) -> None:
        self.location = location
        self._next_number = next_number
        self._instance = instance
        self._password_file = password_file
        self._environment = {
            **location.environment(),
            "RESTIC_REPOSITORY": location.with_login(),
            "RESTIC_PASSWORD_FILE": str(password_file),
            "RESTIC_CACHE_DIR": str(cache),
            "RESTIC_PROGRESS_FPS": "1",
            # It says where it writes temporary files; the container's root cannot be written to.
            "TMPDIR": str(cache.parent / "tmp"),
            # It would use as many as there are, in bursts in which nobody else gets one.
            "GOMAXPROCS": "1",
        }
        self._limit = ["--limit-upload", str(upload_kib_per_second)] if upload_kib_per_second else []
        self._options = [*self._limit, *location.options()]

    def run(self, *arguments: str, stdin: str = "", timeout_seconds: float = _SECONDS) -> str:
        """The output of any of its commands."""
        command = ["restic", *self._options, *arguments]
        run = functools.partial(process.run, command, self._environment, timeout_seconds=timeout_seconds, stdin=stdin)
        return self._twice(run)

    def ensure(self) -> None:
        """Makes the repository where there is none."""
        if self.is_missing():
            self.run("init", "--repository-version", "2")

    def is_missing(self) -> bool:
        """Whether there is none. A server that cannot be reached says nothing about it: that is a ToolError."""
        try:
            self.run("cat", "config", "--no-lock", timeout_seconds=_ANSWER_SECONDS)
        except PasswordError:
            raise
        except ToolError as error:
            if _NO_CONFIG not in error.said or not any(sign in error.said for sign in _NOT_THERE):
                raise
            return True
        return False

    def snapshots(self, kind: str | None = None) -> list[Snapshot]:
        """All of them, or those of a kind, the oldest first."""
        tags = ["--tag", f"kind={kind}"] if kind else []
        listed = self.run("snapshots", "--json", "--no-lock", *tags, timeout_seconds=_ANSWER_SECONDS)
        return sorted(
            (_snapshot(item) for item in json.loads(listed or "[]") or []), key=lambda snapshot: snapshot.order
        )

    def store_stream(
        self,
        source: Sequence[str],
        environment: Mapping[str, str],
        name: str,
        about: Mapping[str, str],
        *,
        bytes_per_second: int = 0,
        expected_bytes: int = 0,
    ) -> tuple[str, Piped]:
        """Stores what a program writes as the file `name`; gives the snapshot's id, and what went through."""
        command = [
            "restic",
            *self._options,
            "backup",
            "--json",
            "--stdin",
            "--stdin-filename",
            name,
            *self._tags(about),
        ]
        through = self._twice(
            lambda: process.pipe(
                source,
                environment,
                command,
                self._environment,
                bytes_per_second=bytes_per_second,
                progress=Progress(f"storing {name}", expected_bytes),
            )
        )
        return str(_summary(through.wrote)["snapshot_id"]), through

    def store_text(self, text: str, name: str, about: Mapping[str, str]) -> str:
        """Stores a text as the file `name`; gives the snapshot's id."""
        wrote = self.run("backup", "--json", "--stdin", "--stdin-filename", name, *self._tags(about), stdin=text)
        return str(_summary(wrote)["snapshot_id"])

    def store_folder(self, folder: Path, about: Mapping[str, str]) -> tuple[str, int]:
        """Stores a folder; gives the snapshot's id and the bytes that the repository grew by."""
        summary = _summary(self.run("backup", "--json", str(folder), *self._tags(about)))
        return summary["snapshot_id"], int(summary.get("data_added", 0))

    def restore(self, snapshot_id: str, target: Path) -> None:
        """Unpacks a snapshot into a folder, its path in it. Every byte is checked against its digest."""
        self.run("restore", "--no-lock", snapshot_id, "--target", str(target))

    def dump_command(self, snapshot_id: str, name: str) -> tuple[list[str], Mapping[str, str]]:
        """The command that writes a stored file to its stdout, and its environment."""
        return ["restic", *self._options, "dump", "--no-lock", snapshot_id, f"/{name}"], self._environment

    def dump(self, snapshot_id: str, name: str) -> str:
        """A stored text."""
        return self.run("dump", "--no-lock", snapshot_id, f"/{name}")

    def forget(self, ids: Sequence[str]) -> None:
        """Takes snapshots away; their data stays until the next prune. Where nothing can be deleted they stay too."""
        if ids and not self.location.append_only:
            self.run("forget", *ids)

    def prune(self) -> None:
        """Frees what no snapshot needs, where that can be deleted. Nobody else may write meanwhile."""
        if not self.location.append_only:
            self.run("prune", "--max-unused", "5%")

    def unlock(self) -> None:
        """Removes every lock. For the one who knows that nobody prunes: a killed run leaves its own behind.

        Where we cannot delete somebody else does, and prunes; of such a repository only locks that are long dead go.
        """
        every = [] if self.location.append_only else ["--remove-all"]
        process.run(["restic", *self._options, "unlock", *every], self._environment)

    def copy_from(self, source: Restic, ids: Sequence[str]) -> None:
        """Copies snapshots of another repository, with what we lack of their data. What we have already is left out.

        Where there is no repository yet, makes one that cuts data as the source does: else nothing would be shared.
        """
        environment = {
            **source._environment,
            **self._environment,
            "RESTIC_FROM_REPOSITORY": source.location.with_login(),
            "RESTIC_FROM_PASSWORD_FILE": str(source._password_file),
        }
        command = ["restic", *self._limit, *options_of_both(self.location, source.location)]
        if self.is_missing():
            process.run([*command, "init", "--repository-version", "2", "--copy-chunker-params"], environment)
        if ids:
            copy = [*command, "copy", *ids]
            self._twice(lambda: process.run(copy, environment, timeout_seconds=_SECONDS))

    def let_in(self, new_password_file: Path) -> None:
        """From now on another password opens the repository too."""
        self.run("key", "add", "--new-password-file", str(new_password_file))

    def check(self, share: str) -> None:
        """Reads `share` of the stored data (`5%`, `100%`) and checks it. Raises ToolError with what is damaged."""
        self.run("check", "--no-lock", "--read-data-subset", share)

    def sizes(self) -> tuple[int, int]:
        """Bytes in the repository, and bytes that all snapshots would take restored."""
        raw = json.loads(self.run("stats", "--json", "--no-lock", "--mode", "raw-data"))
        whole = json.loads(self.run("stats", "--json", "--no-lock", "--mode", "restore-size"))
        return int(raw["total_size"]), int(whole["total_size"])

    def size_bytes(self, snapshot_id: str) -> int:
        """Bytes that a snapshot takes restored."""
        found = json.loads(self.run("stats", "--json", "--no-lock", "--mode", "restore-size", snapshot_id))
        return int(found["total_size"])

    def _twice(self, attempt: Callable[[], _Made]) -> _Made:
        try:
            return _heard_out(attempt)
        except ToolError as error:
            if any(sign in error.said for sign in _WRONG_PASSWORD):
                what = f"Opening the repository {self.location.url}"
                raise PasswordError(what, "the password is wrong; use the one that it was made with") from None
            if _LOCKED not in error.said:
                raise self._plainly(error) from None
        # Whoever needs the repository for himself holds both of our own locks (see `state.alone`), and we hold one: so
        # this lock is what a killed process has left behind.
        self.unlock()
        return attempt()

    def _plainly(self, error: ToolError) -> ToolError:
        # restic ends with a question and the address. What it could not do, or what SSH said, comes before.
        lines = error.said.splitlines()
        telling = [line for sign in (_NO_CONFIG, _SSH_SAYS) for line in lines if sign in line]
        return (
            ToolError(f"Opening the repository {self.location.url}", "\n".join([*lines, telling[-1]]))
            if telling
            else error
        )

    def _tags(self, about: Mapping[str, str]) -> Iterator[str]:
        for key, value in {INSTANCE: self._instance, NUMBER: str(self._next_number()), **about}.items():
            yield from ("--tag", f"{key}={value}")


def _heard_out(attempt: Callable[[], _Made]) -> _Made:
    # restic may be gone before it has passed on why SSH ended.
    for _ in range(_MUTE_ATTEMPTS):
        try:
            return attempt()
        except ToolError as error:
            if _SSH_ENDED not in error.said or _SSH_SAYS in error.said:
                raise
    return attempt()


def one(snapshots: Sequence[Snapshot], wanted: str) -> Snapshot:
    """The snapshot whose id begins so. Raises RequestError where there is none, or several."""
    found = [snapshot for snapshot in snapshots if len(wanted) >= 4 and snapshot.id.startswith(wanted)]
    if len(found) != 1:
        raise RequestError(f"There is no snapshot {wanted}; `backup list` says what there is.")
    return found[0]


def _summary(output: str) -> dict[str, Any]:
    for line in reversed(output.splitlines()):
        if '"summary"' in line:
            return dict(json.loads(line))
    raise ToolError("restic backup", "no summary in its output")


def _snapshot(item: Mapping[str, Any]) -> Snapshot:
    pairs = (tag.partition("=") for tag in item.get("tags") or [])
    about = {key: value for key, _, value in pairs}
    # Go writes nanoseconds, of which the microseconds are read; none where they are 0.
    return Snapshot(id=item["id"], time=datetime.datetime.fromisoformat(item["time"]), about=about)
