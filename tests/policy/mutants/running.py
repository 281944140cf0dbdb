"""Runs the rules' tests against changed modules, each in a process of its own, so that nothing is left of a change.

The tests are collected once. A process is forked for each mutant, puts the changed module in the place of the imported
one, and runs the module's tests until one fails, those first that have noticed something of late. What is not noticed
and is no function's is tried again with everything imported anew. No file of the checkout is touched.
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from _pytest.runner import runtestprotocol  # a test's whole protocol in one call has no public name

from tests.policy.mutants.sites import Mutant
from tests.policy.mutants.transplant import transplant

REPOSITORY: Final = Path(__file__).resolve().parents[3]
TESTS: Final = REPOSITORY / "tests" / "policy"
# Of processor time: a change that makes a loop endless is noticed as well.
LIMIT_SECONDS: Final = 20.0
# Those of the platform's own files judge what others write.
_DESELECTED: Final = ("test_the_real_plan_has_none", "test_no_template_alarms")
_DEPENDS: Final = ("policies.", "ops.policy.", "tests.policy.test_", "tests.policy.fixtures.")
_OPTIONS: Final = (
    *("-q", "-x", "--noconftest", "--no-header", "--tb=no", "--assert=plain", f"--rootdir={REPOSITORY}"),
    *("-p", "pytest_timeout", "-p", "no:cacheprovider", "-p", "no:unraisableexception"),
    *("-k", " and ".join(f"not {name}" for name in _DESELECTED)),
)
_PASSED, _FAILED = 0, 1
# As many tests as are tried before the others.
_RECENT: Final = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """`killed_by` is `tests` or `time`; empty where the mutant survived."""

    mutant: Mutant
    killed_by: str


class Measurement:
    """All mutants of one module, judged by `tests`; `outcomes` are there after `run`."""

    def __init__(self, module: Path, mutants: Sequence[Mutant], tests: Sequence[Path], jobs: int) -> None:
        self._path = module
        self._name = ".".join(module.relative_to(REPOSITORY).with_suffix("").parts)
        self._mutants = mutants
        self._tests = tests
        self._jobs = jobs
        self._source = module.read_text(encoding="utf-8")
        self.outcomes: list[Outcome] = []

    def run(self) -> None:
        """Raises RuntimeError where the tests fail without any change."""
        # To look for plugins takes longer than most tests.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        _forget()
        pytest.main([*_OPTIONS, *map(str, self._tests)], plugins=[self])
        if len(self.outcomes) != len(self._mutants):
            raise RuntimeError(f"the tests of {self._name} fail without any change; nothing can be measured")
        again = {number for number, item in enumerate(self.outcomes) if not item.killed_by and not item.mutant.inside}
        _forget()
        found = self._forked({number: self._anew(self._mutants[number]) for number in again})
        for number, (killed_by, _) in found.items():
            self.outcomes[number] = Outcome(mutant=self._mutants[number], killed_by=killed_by)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Called by pytest when it has collected the tests, in place of its own loop."""
        items = session.items
        module = sys.modules[self._name]
        # What all processes share is not looked through again in each of them.
        gc.collect()
        gc.freeze()
        unchanged = ast.parse(self._source)
        (same, _), *_rest = self._forked({0: self._replaced(module, unchanged, items, [])}).values()
        if same or not items:
            return True
        recent: list[int] = []
        for start in range(0, len(self._mutants), self._jobs):
            some = self._mutants[start : start + self._jobs]
            waiting = {
                number: self._replaced(module, mutant.applied(self._source), items, recent)
                for number, mutant in enumerate(some, start)
            }
            found = self._forked(waiting)
            for number, (killed_by, killer) in sorted(found.items()):
                self.outcomes.append(Outcome(mutant=self._mutants[number], killed_by=killed_by))
                if killer is not None:
                    recent = [killer, *(item for item in recent if item != killer)][:_RECENT]
        return True

    def _replaced(
        self, module: ModuleType, tree: ast.Module, items: Sequence[pytest.Item], first: Sequence[int]
    ) -> Callable[[], int | None]:
        """Gives the number of the test that fails, None where none does."""

        def judged() -> int | None:
            transplant(module, tree)
            order: dict[int, None] = dict.fromkeys([*first, *range(len(items))])
            for number in order:
                reports: list[pytest.TestReport] = runtestprotocol(items[number], log=False, nextitem=None)
                if any(report.failed for report in reports):
                    return number
            return None

        return judged

    def _anew(self, mutant: Mutant) -> Callable[[], int | None]:
        def judged() -> int | None:
            sys.meta_path.insert(0, _Changed(self._name, self._path, mutant.applied(self._source)))
            return 0 if pytest.main([*_OPTIONS, *map(str, self._tests)]) != 0 else None

        return judged

    def _forked(self, judged: Mapping[int, Callable[[], int | None]]) -> dict[int, tuple[str, int | None]]:
        """Runs each in a process; by its number, what killed it, and which test did."""
        waiting, running = list(judged), dict[int, tuple[int, int]]()
        found: dict[int, tuple[str, int | None]] = {}
        while waiting or running:
            while waiting and len(running) < self._jobs:
                number = waiting.pop(0)
                pid, pipe = _fork(judged[number])
                running[pid] = number, pipe
            pid, status = os.wait()
            number, pipe = running.pop(pid)
            with os.fdopen(pipe, "rb") as stream:
                said = stream.read()
            code = os.waitstatus_to_exitcode(status)
            killed_by = "time" if code == -signal.SIGPROF else "" if code == _PASSED else "tests"
            found[number] = killed_by, int(said) if said else None
        return found


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


def _fork(judged: Callable[[], int | None]) -> tuple[int, int]:
    """The process, and the end of a pipe where it says which test has failed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    # Whatever happens in here, the loop of the parent must not go on in it.
    code = _FAILED
    try:
        signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        killer = judged()
        if killer is None:
            code = _PASSED
        else:
            os.write(writing, str(killer).encode())
    finally:
        os._exit(code)


def _forget() -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith(_DEPENDS)]:
        del sys.modules[name]
