"""Child processes that do not outlive an interrupted run."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ops.toolchain.errors import CommandError, ToolchainError

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 5.0
_TAIL_LINES = 15


class Processes:
    """Runs commands from several threads; `cancel` ends them all, with everything that they started."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the running commands and refuse further ones."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise ToolchainError once `cancel` was called."""
        if self._cancelled.is_set():
            raise ToolchainError("The work on the toolchain was interrupted; run the same command again.")

    def run(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> None:
        """Run a command to its end, its output appended to `log`.

        Raises CommandError if it fails, and ToolchainError if it was cancelled.
        """
        self.check()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            # A session of its own: the Go command starts compilers, and a signal to the group reaches them all.
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = self._wait(child)
            except BaseException:
                _end_group(child)
                raise
        if code != 0:
            raise CommandError(
                f"`{' '.join(command[:3])} …` failed with exit code {code}. Its last lines (all of them: {log}):\n"
                + "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
            )

    def _wait(self, child: "subprocess.Popen[bytes]") -> int:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(_POLL_SECONDS)
            self.check()


def _end_group(child: "subprocess.Popen[bytes]") -> None:
    # The group's id is the child's own; it stays valid until wait() has collected the child.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_SECONDS)
        # Whatever ignored the first signal, grandchildren included.
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
