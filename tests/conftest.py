"""The stack under test, for every test that needs one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.host import engine
from tests.stack import instance
from tests.stack.instance import Instance
from tests.stack.prod import Prod
from tests.stack.prod import for_tests as prod_for_tests

_TESTS = Path(__file__).resolve().parent
# From quick to slow, and last what takes the stack down, so that one bring-up serves all. Right in any other order too.
_TURNS = (
    "smoke",
    "smoke/test_restarts",
    "deploy",
    "deploy/test_teardown",
    "prod",
    "prod/test_prod_breaks_under_chaos",
    "prod/test_prod_drain",
)
# The first test in a run waits for the stack, whose images may have to be built.
_TIMEOUT_SECONDS = 2400

# A shell that starts us in the background has SIGINT ignored, and so would be every process that a test starts: those
# that prove what Ctrl-C does could never end.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs the stack, and puts it after everything else."""
    for item in items:
        if _turn(item):
            item.add_marker(pytest.mark.prod if item.path.is_relative_to(_TESTS / "prod") else pytest.mark.stack)
            item.add_marker(pytest.mark.timeout(_TIMEOUT_SECONDS))
    items.sort(key=_turn)


@pytest.fixture(scope="session")
def test_instance() -> Iterator[Instance]:
    """The run's instance, up or not; tests that only need a stack that is up take `stack`."""
    finding = engine.look()
    if finding.engine is None:
        pytest.skip(finding.problem)
    with instance.for_tests() as made:
        yield made


@pytest.fixture
def stack(test_instance: Instance) -> Instance:
    """The stack under test, up and as its configuration says."""
    test_instance.ensure_up()
    return test_instance


@pytest.fixture(scope="session")
def prod_instance() -> Iterator[Prod]:
    """The run's instance of prod on a lab of its own, up or not; tests that need one that is up take `prod`."""
    finding = engine.look()
    if finding.engine is None:
        pytest.skip(finding.problem)
    with prod_for_tests() as made:
        yield made


@pytest.fixture
def prod(prod_instance: Prod) -> Prod:
    """The prod stack under test, up and as its configuration says."""
    prod_instance.ensure_up()
    return prod_instance


def _turn(item: pytest.Item) -> int:
    path = item.path.relative_to(_TESTS).as_posix() if item.path.is_relative_to(_TESTS) else ""
    return max((n for n, beginning in enumerate(_TURNS, start=1) if path.startswith(beginning)), default=0)
