"""Redis: a copy as a replica would get it, from a replica where there is one; and its way back."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ops.backup import process
from ops.backup.errors import DamageError, ToolError
from ops.backup.restic import Restic, Snapshot
from ops.backup.settings import Settings

FILE = "redis.rdb"
_ANSWER_SECONDS = 5.0
_LOAD_SECONDS = 300.0
_MARK_BYTES = 40
# How a server with an append-only file finds a copy that it did not write itself.
_BASE = "appendonly.aof.1.base.rdb"
_MANIFEST = f"file {_BASE} seq 1 type b\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """One that answers. `keys` is how many it has."""

    host: str
    is_replica: bool
    keys: int


def choose(settings: Settings) -> Server:
    """A replica that follows its primary, else the primary. Raises ToolError where none answers."""
    found: list[Server] = []
    said = "none of them answers"
    for host in settings.redis_hosts:
        try:
            about = _info(settings, host)
        except ToolError as error:
            said = error.said
            continue
        is_replica = about.get("role") == "slave"
        if not is_replica or about.get("master_link_status") == "up":
            found.append(Server(host=host, is_replica=is_replica, keys=_keys(about)))
    if not found:
        raise ToolError("Asking the Redis servers", said)
    return max(found, key=lambda server: server.is_replica)


def copy_command(settings: Settings, server: Server) -> tuple[list[str], dict[str, str]]:
    """The command that writes a copy to its stdout, and its environment."""
    return [*_cli(settings, server.host), "--rdb", "-"], _login(settings)


def unpack(restic: Restic, snapshot: Snapshot, folder: Path) -> Path:
    """The snapshot as a folder that a server takes for its own; gives the file with the data in it."""
    shutil.rmtree(folder, ignore_errors=True)
    inside = folder / "files" / "appendonlydir"
    inside.mkdir(parents=True)
    command, environment = restic.dump_command(snapshot.id, FILE)
    with (inside / _BASE).open("wb") as file:
        done = subprocess.run(
            command, env={**os.environ, **environment}, stdout=file, stderr=subprocess.PIPE, text=True, check=False
        )
    if done.returncode:
        raise ToolError("restic dump", done.stderr)
    _without_mark(inside / _BASE)
    (inside / "appendonly.aof.manifest").write_text(_MANIFEST)
    return inside / _BASE


def _without_mark(file: Path) -> None:
    # A server that copies without its disk says the end by 40 hexadecimal digits, and redis-cli cannot take them back
    # from a pipe. A copy itself ends with a byte that is no digit and a checksum of 8.
    with file.open("r+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - _MARK_BYTES))
        if re.fullmatch(rb"[0-9a-f]{40}", opened.read()):
            opened.truncate(size - _MARK_BYTES)


def read_back(file: Path) -> int:
    """Reads every key of a copy; gives how many there are. Raises DamageError."""
    try:
        said = process.run(["redis-check-rdb", str(file)], {}, timeout_seconds=_LOAD_SECONDS)
    except ToolError as error:
        raise DamageError(f"The copy of Redis is damaged: {error.said[-300:]}") from None
    found = re.search(r"(\d+) keys read", said)
    if found is None:
        raise DamageError(f"The copy of Redis cannot be read: {said[-300:]}")
    return int(found[1])


@contextlib.contextmanager
def loaded(folder: Path) -> Iterator[int]:
    """A throw-away server on an unpacked folder; gives how many keys it has. It has ended when the block has."""
    socket = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--dir", str(folder / "files")]
    with process.started([*command, "--appendonly", "yes", "--save", ""], {}, stdout=subprocess.DEVNULL) as server:
        yield _loaded_keys(socket, server)


def _loaded_keys(socket: Path, server: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + _LOAD_SECONDS
    while True:
        try:
            return int(process.run(["redis-cli", "-s", str(socket), "-e", "DBSIZE"], {}, timeout_seconds=5))
        except (ToolError, ValueError) as error:  # not there yet, or still loading
            if time.monotonic() > deadline or server.poll() is not None:
                raise DamageError(f"A server did not load the copy of Redis: {error}") from None
        time.sleep(0.1)


def _info(settings: Settings, host: str) -> dict[str, str]:
    said = process.run([*_cli(settings, host), "-e", "INFO"], _login(settings), timeout_seconds=_ANSWER_SECONDS)
    pairs = (line.strip().partition(":") for line in said.splitlines() if ":" in line)
    return {key: value for key, _, value in pairs}


def _keys(info: dict[str, str]) -> int:
    return sum(int(found[1]) for key in info if key.startswith("db") and (found := re.match(r"keys=(\d+)", info[key])))


def _cli(settings: Settings, host: str) -> list[str]:
    return [
        *("redis-cli", "--no-auth-warning", "-h", host, "-p", str(settings.redis_port)),
        *("--user", settings.redis_user),
    ]


def _login(settings: Settings) -> dict[str, str]:
    # Through the environment of a short process: never onto a command line.
    return {"REDISCLI_AUTH": settings.redis_password_file.read_text().strip()}
