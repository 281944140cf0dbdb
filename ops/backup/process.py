"""Runs the programs that do the work, and streams of one into another."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

from ops.backup.errors import ToolError

_CHUNK_BYTES = 1 << 20
_TAIL_BYTES = 16_384
_TO_STOP_SECONDS = 20.0


def run(
    command: Sequence[str], environment: Mapping[str, str], *, timeout_seconds: float = 3600.0, stdin: str = ""
) -> str:
    """Its stdout. Raises ToolError with the end of its stderr."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(command[0], f"no answer within {timeout_seconds:.0f} s") from error
    if done.returncode:
        raise ToolError(command[0], done.stderr or done.stdout or f"exit code {done.returncode}")
    return done.stdout


class Tail:
    """Reads a pipe to its end, so that its writer never waits, and keeps what came last."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._kept = b""
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        for chunk in iter(lambda: pipe.read1(4096), b""):  # type: ignore[attr-defined]
            self._kept = (self._kept + chunk)[-_TAIL_BYTES:]

    def text(self) -> str:
        """What came last, once the writer has ended."""
        self._thread.join(5)
        return self._kept.decode(errors="replace")


@contextlib.contextmanager
def started(command: Sequence[str], environment: Mapping[str, str], **pipes: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is over when the block is, whatever happens in it."""
    with subprocess.Popen(command, env={**os.environ, **environment}, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # restic takes its lock away at this one alone
                try:
                    process.wait(_TO_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):  # what it had not read is for nobody any more
                    process.stdin.close()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piped:
    """What the sink wrote, how many bytes went through, and the first of them: at most 1 MiB."""

    wrote: str
    size_bytes: int
    head: bytes = dataclasses.field(repr=False)


def pipe(
    source: Sequence[str],
    source_environment: Mapping[str, str],
    sink: Sequence[str],
    sink_environment: Mapping[str, str],
    *,
    bytes_per_second: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Piped:
    """Runs both to their end, at most so fast; 0 means no limit. `progress` hears of the bytes that are through.

    `sink` sees the end of its input only where `source` succeeded: what is cut off must not look whole.
    Raises ToolError.
    """
    through, head = 0, b""
    begun = time.monotonic()
    with (
        started(sink, sink_environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as to,
        started(source, source_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as from_,
    ):
        assert to.stdin is not None  # noqa: S101 - all of them for mypy
        assert to.stdout is not None  # noqa: S101
        assert to.stderr is not None  # noqa: S101
        assert from_.stdout is not None  # noqa: S101
        assert from_.stderr is not None  # noqa: S101
        source_said, sink_said, sink_wrote = Tail(from_.stderr), Tail(to.stderr), Tail(to.stdout)
        with contextlib.suppress(BrokenPipeError):  # the sink's own words say more
            for chunk in iter(lambda: from_.stdout.read(_CHUNK_BYTES), b""):  # type: ignore[union-attr]
                to.stdin.write(chunk)
                through += len(chunk)
                head = head or chunk
                progress(through)
                if bytes_per_second:
                    time.sleep(max(0.0, begun + through / bytes_per_second - time.monotonic()))
            if from_.wait():
                raise ToolError(source[0], source_said.text())
            to.stdin.close()
        if to.wait():
            raise ToolError(sink[0], sink_said.text())
        if from_.wait():
            raise ToolError(source[0], source_said.text())
        return Piped(wrote=sink_wrote.text(), size_bytes=through, head=head)
