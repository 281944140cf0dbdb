"""The deployments of a stack that went through, each with the sources it was made from: the way back."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import getpass
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ops.errors import StateError, UsageError
from ops.stack.reference import Stack

# What `up` reads of the repository. Tests and documents deploy nothing.
SOURCES: Final = ("app", "images", "infra", "ops", "policies", "Pulumi.yaml", "requirements.txt", "pidea")
RESTORES: Final = "PIDEA_RESTORES"
_KEPT: Final = 10
_IGNORED: Final = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


def is_restoring() -> bool:
    """Whether this process brings an earlier deployment back, for `./pidea rollback`."""
    return RESTORES in os.environ


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment:
    """One that went through. `restores` is the number of the one that it went back to, 0 for a new one."""

    number: int
    at: str
    author: str
    digest: str
    restores: int = 0

    @property
    def text(self) -> str:
        """One line for people."""
        back = f", back to {self.restores}" if self.restores else ""
        return f"{self.number}  {self.at}  {self.digest}  by {self.author}{back}"

    @property
    def stands_for(self) -> int:
        """The number of the deployment whose sources these are."""
        return self.restores or self.number


def deployments(stack: Stack) -> list[Deployment]:
    """Oldest first. Raises StateError for a record that cannot be read."""
    found = []
    for path in sorted(_folder(stack).glob("*.json")):
        try:
            found.append(Deployment(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError) as error:
            raise StateError(f"{path} cannot be read: {error}. Remove it; the other deployments stay.") from error
    return found


@contextlib.contextmanager
def attempt(stack: Stack) -> Iterator[None]:
    """Around a deployment: recorded where it goes through. Where it fails, the last one that did is the good one."""
    folder = _folder(stack)
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / "attempt"
    marker.touch()
    yield
    _record(stack)
    marker.unlink(missing_ok=True)


def last_good(stack: Stack, number: int | None = None) -> Deployment:
    """The deployment to go back to: `number`, else the last one that went through before what runs now.

    Raises UsageError where there is none.
    """
    found = deployments(stack)
    if number is not None:
        chosen = next((one for one in found if one.number == number), None)
        if chosen is None:
            known = ", ".join(str(one.number) for one in found) or "none"
            raise UsageError(f"There is no deployment {number} of {stack.name}; there are: {known}.")
        return chosen
    if not found:
        raise UsageError(f"{stack.name} has nothing to go back to: no deployment of it has gone through yet.")
    if (_folder(stack) / "attempt").exists():
        return found[-1]  # the last one failed half way
    now = found[-1].stands_for
    before = [one for one in found if one.number < now and not one.restores and one.digest != found[-1].digest]
    if not before:
        raise UsageError(f"{stack.name} has nothing to go back to: deployment {now} is the first one that is kept.")
    return before[-1]


def unpack(stack: Stack, deployment: Deployment) -> Path:
    """A folder with the deployment's sources, ready to deploy from; its `.pidea` is this checkout's."""
    archive = _archive(stack, deployment.number)
    folder = stack.local / "rollback" / f"{stack.name}-{deployment.number}-{deployment.digest}"
    if not folder.is_dir():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(unfinished, filter="data")
        except (OSError, tarfile.TarError) as error:
            raise StateError(f"{archive} cannot be read: {error}. Choose another one with --to.") from error
        (unfinished / ".pidea").symlink_to(stack.local)
        # The same packages: the environment that is there serves. Others: the launcher makes one beside it.
        if (unfinished / "requirements.txt").read_bytes() == (stack.root / "requirements.txt").read_bytes():
            (unfinished / ".venv").symlink_to(stack.root / ".venv")
        unfinished.rename(folder)
    if stack.instance is not None:
        # An instance's configuration is not among the sources, but beside the state.
        stack.config_file.write_bytes((folder / stack.environment_file.name).read_bytes())
    return folder


def _record(stack: Stack) -> None:
    content = _pack(stack)
    digest = hashlib.sha256(content).hexdigest()[:12]
    found = deployments(stack)
    restores = int(os.environ.get(RESTORES, "0"))
    if found and found[-1].digest == digest and not restores:
        return
    made = Deployment(
        number=found[-1].number + 1 if found else 1,
        at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        author=_author(),
        digest=digest,
        restores=restores,
    )
    _write(_archive(stack, made.number), gzip.compress(content, mtime=0))
    _write(_folder(stack) / f"{made.number:06d}.json", json.dumps(dataclasses.asdict(made), indent=2).encode())
    for old in [*found, made][:-_KEPT]:
        (_folder(stack) / f"{old.number:06d}.json").unlink(missing_ok=True)
        _archive(stack, old.number).unlink(missing_ok=True)


def _pack(stack: Stack) -> bytes:
    """The sources and the configuration in force as a tar that depends on their content alone."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in SOURCES:
            root = stack.root / name
            for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
                if path.is_file() and not _IGNORED.intersection(path.parts):
                    _add(tar, path, path.relative_to(stack.root).as_posix())
        _add(tar, stack.config_file, stack.environment_file.name)
    return content.getvalue()


def _add(tar: tarfile.TarFile, path: Path, inside: str) -> None:
    info = tarfile.TarInfo(inside)
    data = path.read_bytes()
    info.size = len(data)
    info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
    tar.addfile(info, io.BytesIO(data))


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and for its owner alone."""
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.rename(path)


def _folder(stack: Stack) -> Path:
    return stack.folder / "deployments" / stack.name


def _archive(stack: Stack, number: int) -> Path:
    return _folder(stack) / f"{number:06d}.tar.gz"


def _author() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def as_json(found: list[Deployment]) -> list[dict[str, Any]]:
    """For scripts."""
    return [dataclasses.asdict(one) for one in found]
