"""A tool as a folder in the cache, and what a thread needs while it makes one."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.toolchain import cache
from ops.toolchain.process import Processes


@dataclass(frozen=True)
class Job:
    """The making of one tool: where to report, what ends with an interrupt, and whose turn it is to compile."""

    progress: Callable[[str], None]
    processes: Processes
    # The Go compiler is parallel itself: two at once only take turns on few cores.
    compile_slots: threading.Semaphore

    def wait(self) -> None:
        """Say that another process is making the tool; raises ToolchainError once the run was interrupted."""
        self.processes.check()
        self.progress("waiting for another run that is making it")


@dataclass(frozen=True)
class Artifact:
    """A folder that `make` fills, published under the digest of all that went into it."""

    tool: str
    digest: str
    make: Callable[[Path, Job], None]
    # The part of the folder that its users want, relative to it.
    entry: str = "."

    def location(self) -> Path | None:
        """The wanted folder, if the artifact is in the cache."""
        folder = cache.artifact(self.tool, self.digest) / self.entry
        return folder if folder.is_dir() else None

    def ensure(self, job: Job) -> Path:
        """The wanted folder, made if missing; raises ToolchainError."""
        folder = cache.publish(
            self.tool,
            self.digest,
            lambda into: self.make(into, job),
            waiting=job.wait,
        )
        return folder / self.entry
