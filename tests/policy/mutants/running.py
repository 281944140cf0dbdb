"""Runs the tests of the rules against a changed module, each time in a process of its own.

A process is forked when everything that does not depend on the rules has been imported, reads the changed module in
the place of the file, and collects the tests anew. So changes of constants and tables count, not only those of
functions, no file of the checkout is touched, and a mutant costs a fraction of a second.
"""

from __future__ import annotations

import ast
import dataclasses
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from tests.policy.mutants.sites import Mutant

REPOSITORY: Final = Path(__file__).resolve().parents[3]
TESTS: Final = REPOSITORY / "tests" / "policy"
# A change that makes a loop endless is noticed as well.
TIMEOUT_SECONDS: Final = 30
# These judge whole stacks, which takes long and is not what the rules' own tests should need.
_LEFT_OUT: Final = ("test_real_stacks.py", "test_bad_variations.py", "test_published_stacks.py", "test_mutants.py")
# What is imported anew for each mutant.
_DEPENDS: Final = ("policies.", "ops.policy.", "tests.policy.test_", "tests.policy.fixtures.")
# Those of the platform's own files judge what others write.
_DESELECTED: Final = ("test_the_real_plan_has_none", "test_no_template_alarms")
_OPTIONS: Final = (
    *("-q", "-x", "--noconftest", "--no-header", "--tb=no", "--assert=plain"),
    *("-p", "pytest_timeout", "-p", "no:cacheprovider", "-p", "no:unraisableexception"),
    *("-k", " and ".join(f"not {name}" for name in _DESELECTED)),
)
PASSED, FAILED = 0, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """`killed_by` is `tests` or `time`; empty where the mutant survived."""

    mutant: Mutant
    killed_by: str


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module, whose content is given."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name, self._path, self._tree = name, path, tree

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)  # noqa: S102 - that is what it is for


def property_tests() -> list[Path]:
    """The tests that ask rules about single properties."""
    return [path for path in sorted(TESTS.glob("test_*.py")) if path.name not in _LEFT_OUT]


def prepare() -> None:
    """Imports what all tests need, by running them. Raises RuntimeError where they fail as things are."""
    # To look for plugins takes longer than most tests.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if _tests_fail(property_tests(), quiet=False):
        raise RuntimeError("the tests fail without any change; nothing can be measured")
    _forget()
    # What all processes share is not looked through again in each of them.
    gc.collect()
    gc.freeze()


def outcomes(module: Path, mutants: Sequence[Mutant], own: Sequence[Path], jobs: int) -> Iterator[Outcome]:
    """Judges all mutants of a module by its own tests, and those that survive by all others. Call `prepare` first."""
    source = module.read_text(encoding="utf-8")
    name = ".".join(module.relative_to(REPOSITORY).with_suffix("").parts)
    others = [path for path in property_tests() if path not in own]
    waiting, running = list(reversed(mutants)), dict[int, Mutant]()
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            finder = _Changed(name, module, mutant.applied(source))
            running[_forked(lambda found=finder: _judged(found, own, others))] = mutant  # type: ignore[misc]
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        killed_by = "time" if code == -signal.SIGALRM else "" if code == PASSED else "tests"
        yield Outcome(mutant=running.pop(pid), killed_by=killed_by)


def _judged(finder: _Changed, own: Sequence[Path], others: Sequence[Path]) -> bool:
    sys.meta_path.insert(0, finder)
    for paths in (own, others):
        # Without a path pytest would run all tests of the repository.
        if paths and _tests_fail(paths):
            return True
        _forget()
    return False


def _forked(fails: Callable[[], bool]) -> int:
    pid = os.fork()
    if pid:
        return pid
    # Whatever happens in here, the loop of the parent must not go on in it.
    code = FAILED
    try:
        signal.alarm(TIMEOUT_SECONDS)
        code = FAILED if fails() else PASSED
    finally:
        os._exit(code)


def _tests_fail(paths: Sequence[Path], *, quiet: bool = True) -> bool:
    if quiet:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
    return pytest.main([*_OPTIONS, f"--rootdir={REPOSITORY}", *map(str, paths)]) != 0


def _forget() -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith(_DEPENDS)]:
        del sys.modules[name]
