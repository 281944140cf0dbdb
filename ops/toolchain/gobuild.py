"""Building a tool's commands from the Go sources beside this file."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from ops.toolchain import cache, golang
from ops.toolchain.artifact import Job
from ops.toolchain.platforms import Platform


@dataclass(frozen=True)
class GoModule:
    """A folder of `sources/` (a Go module), and the options to build its commands with."""

    folder: str
    target: Platform
    tags: str = "grpcnotrace"
    # Without symbol tables the binaries are a third smaller.
    ldflags: str = "-s -w"

    @property
    def digest(self) -> str:
        """Over all that decides what the binaries are, the version of Go apart."""
        settings = [str(self.target), self.tags, self.ldflags, golang.environment(self.target)["GOFLAGS"]]
        return cache.digest([*settings, golang.SOURCES / self.folder])


class Builder:
    """A writable copy of a module in which commands are built, one after the other."""

    def __init__(self, module: GoModule, workspace: Path, job: Job) -> None:
        self._module = module
        self._job = job
        self._log = cache.log_file(module.folder)
        self._log.unlink(missing_ok=True)
        self._go = golang.find_or_install(job.progress, job.processes)
        self.folder = workspace / module.folder
        shutil.copytree(golang.SOURCES / module.folder, self.folder)

    def fetch(self, *packages: str) -> None:
        """Download the modules that the packages need and no others; another tool may compile meanwhile."""
        self._job.progress("downloading Go modules")
        self._run(str(self._go), "list", "-deps", "-tags", self._module.tags, *packages)

    def build(self, package: str, output: Path) -> None:
        """Compile one command; its modules are downloaded."""
        self._job.progress("waiting for its turn to compile")
        with self._job.compile_slots:
            self._job.progress("compiling")
            options = ["-tags", self._module.tags, "-ldflags", self._module.ldflags, "-o", str(output)]
            self._run(str(self._go), "build", *options, package)

    def run(self, *command: str) -> None:
        """Run a command that was built, in the copy."""
        self._run(*command)

    def _run(self, *command: str) -> None:
        env = golang.environment(self._module.target)
        self._job.processes.run(command, cwd=self.folder, env=env, log=self._log)
