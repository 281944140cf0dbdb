"""Whose state is used, and with which passphrase."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.errors import StateError
from ops.stack import backend
from ops.stack.reference import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(environment="staging", root=tmp_path, local=tmp_path / ".pidea")


def login(tmp_path: Path, current: str) -> dict[str, str]:
    """An environment in which `pulumi login` was done."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "credentials.json").write_text(json.dumps({"current": current}))
    return {"PULUMI_CREDENTIALS_PATH": str(tmp_path / "home")}


def nobody(tmp_path: Path) -> dict[str, str]:
    """An environment without a login."""
    return {"PULUMI_HOME": str(tmp_path / "nowhere")}


def test_without_a_login_the_state_is_ours(stack: Stack, tmp_path: Path) -> None:
    chosen = backend.choose(stack, nobody(tmp_path))
    assert chosen.folder == tmp_path / ".pidea" / "state"
    assert chosen.passphrase_file == tmp_path / ".pidea" / "passphrase"
    assert chosen.variables["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/.pidea/state"


@pytest.mark.parametrize(
    "environ",
    [
        {"PULUMI_BACKEND_URL": "s3://bucket"},
        {"PULUMI_BACKEND_URL": "file:///elsewhere"},
        {"PULUMI_ACCESS_TOKEN": "pul-123"},
    ],
)
def test_a_backend_named_by_variable_is_the_users(stack: Stack, tmp_path: Path, environ: dict[str, str]) -> None:
    chosen = backend.choose(stack, {**nobody(tmp_path), **environ})
    assert not chosen.is_ours
    assert chosen.variables == {}


def test_a_login_is_the_users(stack: Stack, tmp_path: Path) -> None:
    assert not backend.choose(stack, login(tmp_path, "https://pulumi.example.org")).is_ours


def test_a_logout_leaves_no_login(stack: Stack, tmp_path: Path) -> None:
    assert backend.choose(stack, login(tmp_path, "")).is_ours


def test_what_env_exported_is_not_the_users_choice(stack: Stack, tmp_path: Path) -> None:
    exported = backend.choose(stack, nobody(tmp_path)).variables
    assert backend.choose(stack, {**nobody(tmp_path), **exported}) == backend.choose(stack, nobody(tmp_path))


def test_an_instance_never_uses_the_users_login_nor_passphrase(tmp_path: Path) -> None:
    instance = Stack(environment="staging", instance="x", root=tmp_path, local=tmp_path / ".pidea")
    theirs = {"PULUMI_BACKEND_URL": "s3://bucket", "PULUMI_CONFIG_PASSPHRASE_FILE": "/elsewhere"}
    chosen = backend.choose(instance, theirs)
    assert chosen.folder == tmp_path / ".pidea" / "instances" / "x" / "state"
    assert chosen.passphrase_file == tmp_path / ".pidea" / "instances" / "x" / "passphrase"


def test_the_users_passphrase_is_used_with_our_state(stack: Stack, tmp_path: Path) -> None:
    chosen = backend.choose(stack, {**nobody(tmp_path), "PULUMI_CONFIG_PASSPHRASE": "theirs"})
    assert chosen.is_ours
    assert chosen.passphrase_file is None


def test_prepare_makes_a_passphrase_once(stack: Stack, tmp_path: Path) -> None:
    chosen = backend.choose(stack, nobody(tmp_path))
    backend.prepare(chosen)
    assert chosen.passphrase_file is not None
    first = chosen.passphrase_file.read_text()
    assert len(first) > 40
    backend.prepare(chosen)
    assert chosen.passphrase_file.read_text() == first


def test_prepare_makes_no_new_passphrase_for_an_old_state(stack: Stack, tmp_path: Path) -> None:
    chosen = backend.choose(stack, nobody(tmp_path))
    assert chosen.folder is not None
    (chosen.folder / ".pulumi" / "stacks" / "pidea").mkdir(parents=True)
    (chosen.folder / ".pulumi" / "stacks" / "pidea" / "staging.json").write_text("{}")
    with pytest.raises(StateError, match="is missing"):
        backend.prepare(chosen)
