"""The user's cache: one immutable folder per tool and content, made once, under a lock, whole or not at all.

<root>/toolchain/<tool>/<digest>/   artifacts
<root>/go/{mod,build}/              what the Go command keeps between builds
<root>/locks/, <root>/logs/
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PARTIAL_PREFIX = ".partial-"
_WAIT_SECONDS = 0.5


def root() -> Path:
    """`$XDG_CACHE_HOME/pidea`, else `~/.cache/pidea`. Not created here."""
    # The XDG specification says that a relative path is to be ignored.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = configured if configured.is_absolute() else Path.home() / ".cache"
    return base / "pidea"


def digest(parts: Iterable[str | Path]) -> str:
    """16 hex digits over strings, and over the names and contents of files and folders, in the order given."""
    total = hashlib.sha256()
    for part in parts:
        for name, content in _contents(part):
            for field in (name.encode(), content):
                # Each field's length goes in front, so that moving bytes between fields changes the digest.
                total.update(len(field).to_bytes(8, "big") + field)
    return total.hexdigest()[:16]


def _contents(part: str | Path) -> Iterable[tuple[str, bytes]]:
    if isinstance(part, str):
        yield "", part.encode()
    elif part.is_dir():
        for path in sorted(part.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield path.relative_to(part).as_posix(), path.read_bytes()
    else:
        yield part.name, part.read_bytes()


def artifact(tool: str, content: str) -> Path:
    """Where the tool of this content digest is, once published."""
    return root() / "toolchain" / tool / content


def log_file(tool: str) -> Path:
    """Where the output of the tool's last build is written."""
    return root() / "logs" / f"{tool}.log"


def publish(tool: str, content: str, make: Callable[[Path], None], *, waiting: Callable[[], None]) -> Path:
    """The artifact's folder; where it is missing, `make` fills an empty one that then takes its place at once.

    One process makes a tool at a time, whichever clone it works for; while another is at it, `waiting` is called
    again and again, and may raise to give up. If `make` raises, or is interrupted, nothing of it stays.
    """
    target = artifact(tool, content)
    if target.is_dir():
        return target
    with _locked(tool, waiting):
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in target.parent.glob(f"{_PARTIAL_PREFIX}*"):
            # Only the lock's holder makes these: one that is here belongs to a process that was killed.
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL_PREFIX, dir=target.parent))
        try:
            make(partial)
            partial.chmod(0o755)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def prune(keep: Collection[Path]) -> int:
    """Remove what the Go command keeps, and every artifact that no path in `keep` lies in; returns the bytes freed.

    Waits for whoever is making a tool. A tool that is removed here and wanted again is made again, from the beginning.
    """
    tools = root() / "toolchain"
    with ExitStack() as locks:
        # Whoever makes a tool holds its lock when it asks for Go's: Go's comes last here too, or both would wait.
        for tool in sorted(tools.glob("*"), key=lambda path: (path.name == "go", path.name)):
            locks.enter_context(_locked(tool.name, lambda: None))
        unwanted = [root() / "go", *(a for a in tools.glob("*/*") if not any(k.is_relative_to(a) for k in keep))]
        freed = sum(path.lstat().st_size for folder in unwanted for path in folder.rglob("*"))
        for folder in unwanted:
            shutil.rmtree(folder, ignore_errors=True)
    return freed


@contextmanager
def _locked(tool: str, waiting: Callable[[], None]) -> Iterator[None]:
    folder = root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{tool}.lock")
    timeout_seconds = 0.0
    while not lock.is_locked:
        try:
            lock.acquire(timeout=timeout_seconds)
        except Timeout:
            waiting()
            timeout_seconds = _WAIT_SECONDS
    try:
        yield
    finally:
        lock.release()
