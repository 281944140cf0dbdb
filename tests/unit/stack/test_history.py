"""What went through is kept with its sources; the way back is the last one that was good."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.errors import StateError, UsageError
from ops.stack import history
from ops.stack.reference import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack in a checkout that holds just enough."""
    for name in history.SOURCES:
        path = tmp_path / name
        if "." in name or name == "pidea":
            path.write_text(name)
        else:
            path.mkdir()
            (path / "code.py").write_text("first")
    (tmp_path / "pidea").chmod(0o755)
    (tmp_path / "Pulumi.prod.yaml").write_text("config: {}\n")
    (tmp_path / ".pidea").mkdir()
    return Stack(environment="prod", root=tmp_path, local=tmp_path / ".pidea")


def deploy(stack: Stack, code: str) -> None:
    (stack.root / "app" / "code.py").write_text(code)
    with history.attempt(stack):
        pass


def fail(stack: Stack, code: str) -> None:
    (stack.root / "app" / "code.py").write_text(code)
    with pytest.raises(RuntimeError), history.attempt(stack):
        raise RuntimeError


def test_nothing_to_go_back_to_is_said(stack: Stack) -> None:
    with pytest.raises(UsageError, match="nothing to go back to"):
        history.last_good(stack)
    deploy(stack, "first")
    with pytest.raises(UsageError, match="nothing to go back to: deployment 1 is the first"):
        history.last_good(stack)
    with pytest.raises(UsageError, match=r"no deployment 7 of prod; there are: 1\."):
        history.last_good(stack, 7)


def test_the_same_again_is_not_another_deployment(stack: Stack) -> None:
    deploy(stack, "first")
    deploy(stack, "first")
    assert len(history.deployments(stack)) == 1


def test_after_a_deployment_that_failed_the_one_before_it_is_good(stack: Stack) -> None:
    deploy(stack, "first")
    deploy(stack, "second")
    fail(stack, "third")
    assert history.last_good(stack).number == 2
    deploy(stack, "third")
    assert history.last_good(stack).number == 2


def test_each_step_goes_one_further_back(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for code in ("first", "second", "third"):
        deploy(stack, code)
    assert history.last_good(stack).number == 2
    monkeypatch.setenv(history.RESTORES, "2")
    deploy(stack, "second")
    assert history.deployments(stack)[-1].restores == 2
    assert history.last_good(stack).number == 1


def test_what_is_unpacked_is_what_was_deployed(stack: Stack) -> None:
    deploy(stack, "first")
    deploy(stack, "second")
    folder = history.unpack(stack, history.last_good(stack))
    assert (folder / "app" / "code.py").read_text() == "first"
    assert (folder / "pidea").stat().st_mode & 0o111
    assert (folder / ".pidea").resolve() == stack.local.resolve()
    assert (folder / "Pulumi.prod.yaml").read_text() == "config: {}\n"


def test_a_damaged_archive_is_said_and_leaves_nothing(stack: Stack) -> None:
    deploy(stack, "first")
    deploy(stack, "second")
    next(stack.local.rglob("000001.tar.gz")).write_bytes(b"damaged")
    with pytest.raises(StateError, match="Choose another one with --to"):
        history.unpack(stack, history.last_good(stack))


def test_only_the_newest_are_kept(stack: Stack) -> None:
    for number in range(13):
        deploy(stack, f"version {number}")
    kept = history.deployments(stack)
    assert [one.number for one in kept] == list(range(4, 14))
    assert len(list(stack.local.rglob("*.tar.gz"))) == 10
