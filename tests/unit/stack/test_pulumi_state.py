"""Real Pulumi on a small project: the state that we keep, and everything that can be wrong with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ops.errors import StateError
from ops.stack import backend, environment, heal, problems
from ops.stack.events import EventLog
from tests.unit.stack.conftest import Project

pytestmark = pytest.mark.toolchain

# The provider ends the engine that called it, as a power cut would: the lock and the open operation stay.
ENDS_THE_ENGINE = """
    import pathlib
    import pulumi
    from pulumi.dynamic import CreateResult, Resource, ResourceProvider

    class Provider(ResourceProvider):
        def create(self, props):
            import os, pathlib, psutil, signal
            if pathlib.Path(props["trap"]).exists():
                pathlib.Path(props["trap"]).unlink()
                for parent in psutil.Process().parents():
                    if parent.name() == "pulumi":
                        os.kill(parent.pid, signal.SIGKILL)
                os._exit(1)  # nobody is left to end this process
            return CreateResult("made", {**props})

    class Thing(Resource):
        def __init__(self, name, trap):
            super().__init__(Provider(), name, {"trap": trap})

    Thing("thing", str(pathlib.Path("trap").resolve()))
"""


def git(folder: Path, *arguments: str) -> str:
    """Git with an identity, free of the user's own settings."""
    identity = {
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@t",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@t",
    }
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout


def test_the_first_run_leaves_git_status_clean(project: Project) -> None:
    root = project.stack.root
    (root / ".gitignore").write_text("ran\n__pycache__/\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "all")

    project.is_up()
    assert git(root, "status", "--porcelain") == ""

    exported = environment.for_shell(project.tools, backend.choose(project.stack, {}), project.stack)
    done = subprocess.run(
        ["pulumi", "up", "-s", "staging", "--yes", "--skip-preview", "--non-interactive"],  # as a person would
        cwd=root,
        env={**os.environ, **exported},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 unchanged" in done.stdout
    assert git(root, "status", "--porcelain") == ""


def test_outputs_hide_secrets_unless_asked(project: Project) -> None:
    project.is_up()
    assert project.pulumi.outputs() == {"size": "3", "password": "[secret]"}
    assert project.pulumi.outputs(secrets=True)["password"] == "hush"


def test_the_state_holds_no_plain_secret_and_is_for_the_owner_alone(project: Project) -> None:
    project.is_up()
    folder = project.pulumi.backend.folder
    assert folder is not None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (project.stack.folder / "passphrase").stat().st_mode & 0o777 == 0o600
    assert not [path for path in folder.rglob("*") if path.is_file() and b"hush" in path.read_bytes()]


def test_a_wrong_passphrase_is_an_error_before_the_program_runs(project: Project) -> None:
    project.is_up()
    assert project.has_run()
    (project.stack.folder / "passphrase").write_text("another\n")
    with pytest.raises(StateError, match=r"passphrase .* does not open"):
        project.up()
    assert not project.has_run()


def test_a_lost_passphrase_is_not_replaced_by_a_new_one(project: Project) -> None:
    project.is_up()
    passphrase = project.stack.folder / "passphrase"
    passphrase.unlink()
    with pytest.raises(StateError, match="is missing"):
        project.up()
    assert not passphrase.exists()


def test_a_damaged_state_is_named_and_its_copy_restores_it(project: Project) -> None:
    project.is_up()
    folder = project.pulumi.backend.folder
    assert folder is not None
    file = folder / ".pulumi" / "stacks" / "pidea" / "staging.json"
    file.write_text(file.read_text()[:200])
    with pytest.raises(StateError, match="is damaged") as caught:
        project.pulumi.state()
    step = str(caught.value).partition("cp ")[2].rstrip(".").split()
    assert step[1] == str(file)
    file.write_bytes(Path(step[0]).read_bytes())
    assert project.pulumi.state() is not None


def test_an_interrupted_run_is_recognised_and_healed(project: Project) -> None:
    project.program(ENDS_THE_ENGINE)
    (project.stack.root / "trap").touch()
    assert project.up().code != 0

    (lock,) = problems.locks(project.stack, project.pulumi.backend)
    assert lock.is_stale
    assert "--break-lock" in str(problems.locked(project.stack, lock))
    with pytest.raises(StateError, match="--break-lock"):
        project.up()
    project.pulumi.cancel()
    assert problems.locks(project.stack, project.pulumi.backend) == []

    state = project.pulumi.state()
    assert state is not None
    assert [operation.text for operation in state.pending] == ["creating resource thing"]
    assert "up staging --refresh" in str(heal.interrupted(project.stack, state))
    assert not heal.heal(project.pulumi, state, "pidea-none").pending

    log = EventLog()
    assert project.up(log).code == 0
    assert log.failures == []
    assert log.changed == {"create": 1}


def test_a_second_update_is_refused_while_the_first_holds_the_lock(project: Project) -> None:
    project.is_up()
    folder = project.pulumi.backend.folder
    assert folder is not None
    file = folder / ".pulumi" / "locks" / "organization" / "pidea" / "staging" / "other.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('{"pid": 1, "username": "ann", "hostname": "elsewhere", "timestamp": "2026-01-01T00:00:00Z"}')
    with pytest.raises(StateError, match="ann@elsewhere, pid 1"):
        project.up()


def test_a_stack_that_is_not_there_has_no_state(project: Project) -> None:
    assert project.pulumi.state() is None


def test_removing_the_stack_keeps_the_configuration(project: Project) -> None:
    project.is_up()
    before = project.stack.config_file.read_bytes()
    state = project.pulumi.state()
    assert state is not None
    assert project.pulumi.stream("destroy", [], EventLog(), state.salt).code == 0
    project.pulumi.remove()
    assert project.pulumi.state() is None
    assert project.stack.config_file.read_bytes() == before
