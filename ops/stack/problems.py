"""What Pulumi says about its state, its lock or its passphrase, turned into one sentence and the next step."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

from ops.errors import StateError
from ops.stack.backend import PASSPHRASE, PASSPHRASE_FILE, Backend
from ops.stack.reference import Stack

PROJECT = "pidea"
NO_SUCH_STACK = "no stack named"

_DAMAGED = ("failed to load checkpoint", "unexpected end of JSON", "invalid character", "unmarshalling")
_LOCK_LINE = re.compile(r"created by (?P<user>[^@\s]+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<at>\S+)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lock:
    """Who holds the state's lock."""

    user: str
    host: str
    pid: int
    file: Path | None = None

    @property
    def is_stale(self) -> bool:
        """True where the process was on this machine and is gone; False where it lives or cannot be seen from here."""
        return self.host == socket.gethostname() and not psutil.pid_exists(self.pid)


def from_output(
    text: str, stack: Stack, backend: Backend, environ: Mapping[str, str] = os.environ
) -> StateError | None:
    """The error behind Pulumi's output, None where it is not about state."""
    if "incorrect passphrase" in text:
        return StateError(
            f"The passphrase {_passphrase_source(backend, environ)} does not open the state of stack {stack.name}; "
            "use the one that the state was made with."
        )
    if "passphrase must be set" in text or "unable to read PULUMI_CONFIG_PASSPHRASE_FILE" in text:
        return StateError(
            f"The state of stack {stack.name} needs its passphrase; "
            f"set {PASSPHRASE}, or {PASSPHRASE_FILE} to a file that can be read."
        )
    if "currently locked by" in text or "Another update is currently in progress" in text:
        found = _LOCK_LINE.search(text)
        lock = Lock(user=found["user"], host=found["host"], pid=int(found["pid"])) if found else None
        return locked(stack, lock)
    if "message authentication failed" in text:
        return StateError(
            f"A secret setting in {stack.config_file} was encrypted for another state of stack {stack.name}; set it "
            f"again, the certificate with `./pidea certificate {stack.arguments} --file PEM` (or --self-signed)."
        )
    if any(sign in text for sign in _DAMAGED):
        return damaged(stack, backend)
    if "pulumi login" in text or "[401]" in text or "invalid access token" in text:
        return StateError("Pulumi's login is not accepted; run `pulumi login`, or `pulumi logout` to use local state.")
    return None


def locks(stack: Stack, backend: Backend) -> list[Lock]:
    """The locks that lie in our own state's folder; none where the backend is not ours."""
    if backend.folder is None:
        return []
    found = []
    for path in (backend.folder / ".pulumi" / "locks" / "organization" / PROJECT / stack.name).glob("*.json"):
        try:
            content = json.loads(path.read_text())
            lock = Lock(user=content["username"], host=content["hostname"], pid=int(content["pid"]), file=path)
        except FileNotFoundError:
            continue  # released just now
        except (ValueError, KeyError, TypeError):
            lock = Lock(user="?", host="?", pid=0, file=path)
        found.append(lock)
    return found


def locked(stack: Stack, lock: Lock | None) -> StateError:
    """The error for a lock in our way."""
    again = f"`./pidea up {stack.arguments} --break-lock`"
    if lock is None:
        return StateError(
            f"Another update of stack {stack.name} is under way; wait for it, or end a dead one with {again}."
        )
    file = f" ({lock.file})" if lock.file else ""
    if lock.is_stale:
        return StateError(
            f"An earlier run on stack {stack.name} (pid {lock.pid}) ended without giving back its lock{file}; "
            f"go on with {again}."
        )
    return StateError(
        f"Stack {stack.name} is locked by {lock.user}@{lock.host}, pid {lock.pid}{file}; "
        f"wait for that run, or, if it is dead, go on with {again}."
    )


def damaged(stack: Stack, backend: Backend) -> StateError:
    """The error for a state that is not what Pulumi wrote."""
    if backend.folder is None:
        return StateError(
            f"The state of stack {stack.name} cannot be read; "
            "restore an earlier one with `pulumi stack export --version N | pulumi stack import`."
        )
    file = backend.folder / ".pulumi" / "stacks" / PROJECT / f"{stack.name}.json"
    spare = file.with_name(file.name + ".bak")
    step = f"restore the one before it: cp {spare} {file}" if spare.exists() else "restore it from a backup"
    return StateError(f"The state file {file} of stack {stack.name} is damaged; {step}.")


def _passphrase_source(backend: Backend, environ: Mapping[str, str]) -> str:
    if backend.passphrase_file is not None:
        return f"in {backend.passphrase_file}"
    return f"in {PASSPHRASE}" if PASSPHRASE in environ else f"in the file that {PASSPHRASE_FILE} names"
