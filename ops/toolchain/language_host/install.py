"""The commands of `pulumi install`: a virtual environment, and the project's requirements in it."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .interpreter import environment_folder, of

_REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True)
class Command:
    """A program with its arguments, and the folder to run it in."""

    arguments: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        return " ".join(self.arguments)


def commands(info: Any) -> Iterator[Command]:
    """What to run, one after the other, for a ProgramInfo; nothing where the project has no requirements.txt.

    Each is made only when the one before has ended, since the interpreter of the last is made by the first.
    """
    environment = environment_folder(info)
    if environment and not (environment / "bin/python").exists():
        yield Command((sys.executable, "-m", "venv", str(environment)), Path(info.root_directory))
    requirements = requirements_file(Path(info.program_directory), Path(info.root_directory))
    if requirements is None:
        return
    python = str(of(info).executable)
    # uv takes seconds where pip takes minutes. This host's own environment has it where this repository made that.
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    pip = (uv, "pip", "install", "--python", python) if uv else (python, "-m", "pip", "install")
    # In the file's own folder, which the relative paths in it start from.
    yield Command((*pip, "-r", requirements.name), requirements.parent)


def requirements_file(program: Path, root: Path) -> Path | None:
    """The requirements nearest to the program, from its folder up to the project's."""
    for folder in (program, *program.parents):
        if (folder / _REQUIREMENTS).exists():
            return folder / _REQUIREMENTS
        if folder == root:
            break
    return None
