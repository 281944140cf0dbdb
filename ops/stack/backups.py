"""The backup service of a running stack, asked by commands in its container."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from infra import names
from infra.spec import DeploymentPlan
from ops import console
from ops.backup.log import PROGRESS
from ops.cluster.members import MemberError, Members
from ops.errors import DeployError, HostError, OpsError, StateError, UsageError
from ops.host.endpoint import Endpoint
from ops.stack import settings, target
from ops.stack.backend import choose
from ops.stack.reference import Stack

_CHUNK_BYTES = 1 << 20
_PROGRAM = ("/usr/bin/python3.11", "-m", "ops.backup")
_ERRORS: Mapping[int, type[OpsError]] = {2: UsageError, 3: HostError, 4: StateError}


@dataclasses.dataclass(frozen=True)
class Service:
    """The backup service of `stack`, whose plan is `plan`."""

    stack: Stack
    plan: DeploymentPlan

    @classmethod
    def of(cls, stack: Stack) -> Service:
        """Raises UsageError where the stack's configuration cannot be used."""
        return cls(stack, settings.plan_of(stack))

    @property
    def members(self) -> Members:
        """The services of the stack, and where each runs."""
        return Members(
            self.plan.instance, target.endpoint_of(self.stack), lambda node: target.engine_of(self.stack, node)
        )

    def ask(
        self, *arguments: str, say: Callable[[str], None] = lambda _: None, stdin: IO[bytes] | None = None
    ) -> dict[str, Any]:
        """What a command of the service answers; `say` hears what it is doing.

        Raises the error of the same kind as the service's own: UsageError for what there is not, HostError for a lack
        of room, StateError for a repository that is busy or does not open, else DeployError.
        """
        with console.bar() as show, self.start(*arguments, stdin=stdin) as process:
            assert process.stderr is not None  # noqa: S101 - for mypy
            assert process.stdout is not None  # noqa: S101
            for line in process.stderr:
                entry = _entry(line)
                if entry.get("level") == PROGRESS:
                    show(entry["message"], entry["done_bytes"], entry["total_bytes"])
                elif text := _text(entry):
                    say(text)
            output = process.stdout.read().decode()
        answer = _answer(output)
        if process.returncode:
            if process.returncode == OpsError.exit_code:
                raise OpsError(str(answer.get("error")))
            said = str(answer.get("error") or "The backup service did not answer; see `./pidea logs` for why.")
            raise _ERRORS.get(process.returncode, DeployError)(said)
        return answer

    def start(self, *arguments: str, stdin: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """A command of the service, under way. Raises UsageError where the stack has no such service running."""
        engine, container = self.container()
        return subprocess.Popen(
            ["docker", "exec", *(["--interactive"] if stdin else []), container, *_PROGRAM, *arguments],
            env={**os.environ, **engine.environment},
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def container(self) -> tuple[Endpoint, str]:
        """The engine and the id of the service's container. Raises UsageError where it does not run."""
        try:
            place = self.members.place(names.BACKUP)
        except MemberError as error:
            raise UsageError(
                f"The backup service of {self.stack.name} does not run; `./pidea up {self.stack.arguments}` starts it."
            ) from error
        return self.members.engine_of(place.node), place.container_id

    def export(self, file: Path) -> int:
        """Writes the whole encrypted repository to a file; gives its size in bytes. Raises DeployError, HostError."""
        unfinished = file.with_name(f"{file.name}.unfinished")
        try:
            with console.bar() as show, unfinished.open("wb") as sink, self.start("export") as process:
                assert process.stdout is not None  # noqa: S101 - for mypy
                while chunk := process.stdout.read(_CHUNK_BYTES):
                    sink.write(chunk)
                    show(f"writing {file.name}", sink.tell(), 0)
                os.fsync(sink.fileno())
        except OSError as error:
            raise HostError(f"{file} cannot be written: {error.strerror}; choose another place.") from error
        if process.returncode:
            unfinished.unlink()
            raise DeployError("The backup service did not send all of the repository; see `./pidea logs` for why.")
        unfinished.rename(file)
        return file.stat().st_size

    def take_over(
        self, arguments: Sequence[str], password: str, say: Callable[[str], None], file: Path | None = None
    ) -> dict[str, Any]:
        """A command of the service that takes a repository's password, and the repository itself where it is a file.

        Raises StateError for a wrong password.
        """
        read, write = os.pipe()
        # In this order: closed first, the pipe ends a sender whose receiver has failed.
        with concurrent.futures.ThreadPoolExecutor(1) as pool, os.fdopen(read, "rb") as source:
            sent = pool.submit(_send, write, password, file)
            answer = self.ask(*arguments, stdin=source, say=say)
            sent.result()
        return answer

    def keep_state(self) -> dict[str, Any] | None:
        """Stores Pulumi's state, what opens it, and the settings; None where the state is not in files of ours."""
        backend = choose(self.stack)
        if backend.folder is None:
            console.say("  Pulumi's state is kept by your own login, and is not a part of this backup")
            return None
        files = [backend.folder, backend.passphrase_file, self.stack.config_file]
        read, write = os.pipe()
        with os.fdopen(read, "rb") as source, self.start("keep-state", stdin=source) as process:
            with os.fdopen(write, "wb") as sink, tarfile.open(fileobj=sink, mode="w|") as archive:
                for path in files:
                    if path is not None and path.exists():
                        archive.add(path, arcname=path.name)
            output, said = process.communicate()
        if process.returncode:
            raise DeployError(str(_answer(output.decode()).get("error") or said.decode()[-300:]))
        return _answer(output.decode())


def password_in(file: Path) -> str:
    """The password of a repository. Raises UsageError where the file has none."""
    if not file.is_file() or not (password := file.read_text().strip()):
        wrong = "is empty" if file.is_file() else "is not there"
        raise UsageError(f"{file} {wrong}; write into it what `./pidea backup password` printed of that stack.")
    return password


def _send(descriptor: int, password: str, file: Path | None) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as sink:
        sink.write(f"{password}\n".encode())
        if file is not None:
            with file.open("rb") as source:
                shutil.copyfileobj(source, sink)


def _answer(output: str) -> dict[str, Any]:
    try:
        return dict(json.loads(output.strip().splitlines()[-1]))
    except (IndexError, ValueError):
        return {}


def _entry(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


def _text(entry: Mapping[str, Any]) -> str:
    if entry.get("level", "ERROR") == "ERROR":
        return ""  # comes as the answer
    skipped = {"timestamp", "level", "logger", "message", "said"}
    about: Sequence[str] = [f"{key} {value}" for key, value in entry.items() if key not in skipped and value != ""]
    return str(entry["message"]) + (f" ({', '.join(about)})" if about else "")
