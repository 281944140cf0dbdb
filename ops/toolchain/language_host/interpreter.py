"""The Python that runs a program: of the virtual environment that its project names, or of the machine."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


class InterpreterError(Exception):
    """Raised when the project's virtual environment is not there; the text says how to make it."""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter, and the virtual environment that it belongs to, if any."""

    executable: Path
    environment: Path | None = None

    def activated(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables as they are in a shell where the virtual environment is active."""
        if self.environment is None:
            return dict(environ)
        search = os.pathsep.join(filter(None, [str(self.executable.parent), environ.get("PATH", "")]))
        rest = {name: value for name, value in environ.items() if name != "PYTHONHOME"}
        return {**rest, "PATH": search, "VIRTUAL_ENV": str(self.environment)}

    @cached_property
    def packages(self) -> Path:
        """The folder that its packages are installed in."""
        if self.environment:
            # As in sysconfig, without the third of a second that it takes to ask the interpreter.
            for folder in self.environment.glob("lib/python3*/site-packages"):
                return folder
        command = [str(self.executable), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def environment_folder(info: Any) -> Path | None:
    """The virtual environment that the project's runtime options name, relative to the project; None without one."""
    option = dict(info.options).get("virtualenv")
    return Path(info.root_directory) / option if option else None


def of(info: Any) -> Interpreter:
    """The interpreter for a ProgramInfo; raises InterpreterError where its virtual environment is missing."""
    folder = environment_folder(info)
    if folder is None:
        return Interpreter(Path(os.environ.get("PULUMI_PYTHON_CMD") or sys.executable))
    executable = folder / "bin/python"
    if not executable.exists():
        raise InterpreterError(
            f"The virtual environment {folder}, which the project's `virtualenv` option names, is not there. "
            "Run `pulumi install` in the project's folder to make it."
        )
    return Interpreter(executable, folder)
