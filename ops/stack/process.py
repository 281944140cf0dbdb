"""Runs the Pulumi command line: its output and events as they come, and Ctrl-C handed on once, then waited for."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

_POLL_SECONDS = 0.1
_KILL_AFTER_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """How a run ended: exit code, standard output, and standard error."""

    code: int
    output: str
    errors: str


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    on_event: Callable[[str], None] | None = None,
    on_poll: Callable[[], None] | None = None,
    given: str = "",
) -> Result:
    """Runs `command` to its end. With `on_event` it gets an `--event-log`, whose lines are handed over at once.

    `given` is its standard input: at most 64 KiB, of which no command line and no file ever knows.

    Ctrl-C (or SIGTERM) makes Pulumi stop gracefully: what is under way is finished and recorded; a second one makes it
    stop at once. Either raises KeyboardInterrupt after Pulumi has ended.
    """
    with tempfile.TemporaryDirectory(prefix="pidea-") as scratch:
        log = Path(scratch) / "events"
        events = ["--event-log", str(log)] if on_event else []
        output = (Path(scratch) / "stdout").open("w+b")
        errors = (Path(scratch) / "stderr").open("w+b")
        with output, errors:
            # A process group of its own: the terminal's Ctrl-C must not reach Pulumi's plugins behind its back.
            process = subprocess.Popen(
                [*command, *events],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.PIPE if given else subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                process_group=0,
            )
            _hand_over(process, given)
            with _interrupts(process) as interrupted:
                _follow(process, log, on_event, on_poll)
            if interrupted():
                raise KeyboardInterrupt
            return Result(code=process.returncode, output=_all_of(output), errors=_all_of(errors))


def _hand_over(process: subprocess.Popen[bytes], text: str) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError), process.stdin:  # it ended before it read: its exit code says why
        process.stdin.write(text.encode())


def _follow(
    process: subprocess.Popen[bytes],
    log: Path,
    on_event: Callable[[str], None] | None,
    on_poll: Callable[[], None] | None,
) -> None:
    position, rest = 0, b""
    running = True
    while running:
        try:
            process.wait(timeout=_POLL_SECONDS)
            running = False
        except subprocess.TimeoutExpired:
            pass
        if on_event and log.exists():
            with log.open("rb") as file:
                file.seek(position)
                new = file.read()
            position += len(new)
            *lines, rest = (rest + new).split(b"\n")
            for line in lines:
                on_event(line.decode(errors="replace"))
        if on_poll:
            on_poll()


@contextlib.contextmanager
def _interrupts(process: subprocess.Popen[bytes]) -> Iterator[Callable[[], bool]]:
    received: list[float] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        received.append(time.monotonic())
        with contextlib.suppress(ProcessLookupError):
            if len(received) < 3:
                process.send_signal(signal.SIGINT)
            else:
                os.killpg(process.pid, signal.SIGKILL)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_KILL_AFTER_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
