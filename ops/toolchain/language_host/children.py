"""Child processes of the host: programs, plugins and installers."""

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_CHUNK_BYTES = 1 << 16
_GRACE_SECONDS = 5.0

# A name of a stream and a piece of it, or "exitcode" and the code, which comes last.
Event = tuple[str, Any]


def start(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], context: Any, **streams: Any
) -> "subprocess.Popen[bytes]":
    """Start a command; it is ended when the engine gives up the call that asked for it."""
    child = subprocess.Popen(command, cwd=cwd, env=dict(env), start_new_session=True, **streams)
    # False: the call is over already.
    if not context.add_callback(lambda: end(child)):
        end(child)
    return child


def stream(child: "subprocess.Popen[bytes]") -> Iterator[Event]:
    """The output of a child that was started with pipes, as it comes, and its exit code."""
    events: queue.Queue[Event | None] = queue.Queue()

    def pump(pipe: IO[bytes], name: str) -> None:
        # read1 gives what there is; a plugin's first line is a port that the engine waits for.
        while piece := pipe.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
            events.put((name, piece))
        events.put(None)

    pipes = {"stdout": child.stdout, "stderr": child.stderr}
    for name, pipe in pipes.items():
        assert pipe is not None  # noqa: S101 started with pipes
        threading.Thread(target=pump, args=(pipe, name), daemon=True).start()
    open_pipes = len(pipes)
    while open_pipes:
        event = events.get()
        if event is None:
            open_pipes -= 1
        else:
            yield event
    yield "exitcode", child.wait()


def end(child: "subprocess.Popen[bytes]") -> None:
    """End a child and all that it started, politely first. Does nothing to one that has ended."""
    if child.poll() is not None:
        return
    for name in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, name)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_SECONDS)
            return
