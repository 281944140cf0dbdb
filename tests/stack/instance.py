"""The instance of the staging stack that a test run brings up beside whatever a person has running."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import filelock
import yaml

from infra.spec import DeploymentPlan
from ops import paths
from ops.errors import StateError
from ops.host import endpoint
from ops.host.endpoint import Endpoint
from ops.stack import backend, environment, lock, process, settings
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack, resolve
from tests.stack import commands, remains
from tests.stack.waiting import wait_until

KEEP = "PIDEA_KEEP"
# The first one on a machine builds every image.
UP_SECONDS = 1800.0


def name_for(role: str) -> str:
    """A name that another clone on this machine does not have: `role` and a digest of this checkout's path."""
    return f"{role}-{hashlib.sha256(str(paths.REPO).encode()).hexdigest()[:8]}"


@dataclasses.dataclass
class Instance:
    """One instance. `is_current` says that it is up and as its configuration says, as far as the tests know."""

    stack: Stack
    is_current: bool = False
    new_in_git: set[str] = dataclasses.field(default_factory=set)
    _outputs: dict[str, Any] = dataclasses.field(default_factory=dict)
    _exported: str = ""

    @classmethod
    def named(cls, role: str) -> Instance:
        """The instance of staging for `role` in the tests of this checkout."""
        return cls(resolve("staging", name_for(role)))

    @property
    def plan(self) -> DeploymentPlan:
        """What its configuration asks for."""
        return settings.plan_of(self.stack)

    @property
    def prefix(self) -> str:
        """How its names in Docker begin, without the dash."""
        return f"pidea-{self.stack.instance}"

    @property
    def engines(self) -> Mapping[str, Endpoint]:
        """The engine of each node that its containers may be on, by the node's name."""
        return {"localhost": endpoint.resolve()}

    @property
    def pulumi(self) -> Pulumi:
        """The library's own access to its state."""
        return Pulumi(self.stack, environment.tools())

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, with the operator's password. Asked for once after each `up`: Pulumi takes seconds."""
        if not self._outputs or not self.is_current:
            self._outputs = self.pulumi.outputs(secrets=True)
        return self._outputs

    def command(self, name: str, *options: str) -> list[str]:
        """`./pidea NAME staging --instance …`."""
        return ["./pidea", name, self.stack.environment, "--instance", str(self.stack.instance), *options]

    def pidea(self, name: str, *options: str, timeout_seconds: float = UP_SECONDS) -> commands.Finished:
        """Runs a command on the instance, as a person would."""
        if name in {"up", "destroy"}:
            self.forget()
        finished = commands.run(self.command(name, *options), timeout_seconds=timeout_seconds)
        if name == "up":
            self.is_current = finished.code == 0
        return finished

    def forget(self) -> None:
        """What is known of it may be wrong from now on."""
        self.is_current = False
        self._outputs, self._exported = {}, ""

    def up(self) -> commands.Finished:
        """`./pidea up --json`; fails the test where it does not go through."""
        finished = self.pidea("up", "--json")
        assert finished.code == 0, finished.text
        return finished

    def ensure_up(self) -> None:
        """Brings it up where it is not, or not as its configuration says."""
        if not self.is_current:
            before = _git_status()
            self.up()
            self.new_in_git |= _git_status() - before

    @contextlib.contextmanager
    def configured(self, changes: Mapping[str, Any]) -> Iterator[None]:
        """Other settings for a while; the next `up` inside makes them real, the next one after takes them back."""
        before = self.stack.config_file.read_bytes()
        self.configure(changes)
        try:
            yield
        finally:
            self.stack.config_file.write_bytes(before)
            self.forget()

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Other settings, for good."""
        content = yaml.safe_load(self.stack.config_file.read_text())
        content["config"].update(changes)
        self.stack.config_file.write_text(yaml.safe_dump(content, sort_keys=False))
        self.forget()

    def state_with_secrets(self) -> str:
        """The whole state as Pulumi exports it, decrypted. Asked for once after each `up`."""
        if self._exported and self.is_current:
            return self._exported
        chosen = backend.choose(self.stack)
        tools = environment.tools()
        result = process.run(
            [str(tools.pulumi), "stack", "export", "--show-secrets", "--stack", self.stack.name, "--non-interactive"],
            environment=environment.for_process(tools, chosen),
            folder=self.stack.root,
        )
        assert result.code == 0, result.errors
        self._exported = result.output
        return self._exported

    def remove(self) -> None:
        """Removes it with its data, its state and its configuration, in whatever condition they are."""
        self.is_current = False

        def attempt() -> bool:
            try:
                with lock.exclusive(self.stack):
                    remains.purge(self.prefix)
            except StateError:
                return False  # a command of a run that crashed is still at work
            return True

        if remains.remains(self.prefix) or self.stack.folder.exists():
            wait_until(attempt, f"no command works on {self.stack.name}", timeout_seconds=600)
            shutil.rmtree(self.stack.folder, ignore_errors=True)


Made = TypeVar("Made", bound=Instance)


@contextlib.contextmanager
def for_tests() -> Iterator[Instance]:
    """The one instance of staging of a test run; see `alone`."""
    with alone(Instance.named("test"), "tests") as instance:
        yield instance


@contextlib.contextmanager
def alone(instance: Made, lock_name: str) -> Iterator[Made]:
    """An instance for one test run: nothing of an earlier run is in it, and nothing is left of it at the end.

    With PIDEA_KEEP set it is left running, for a look and for the next run with PIDEA_KEEP, which takes it as it is.
    """
    folder = paths.LOCAL / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    mutex = filelock.FileLock(folder / f"{lock_name}.lock")
    try:
        mutex.acquire(timeout=0)
    except filelock.Timeout:
        raise RuntimeError("Another test run of this checkout is at work; wait for it to end.") from None
    keep = bool(os.environ.get(KEEP))
    try:
        if not keep:
            instance.remove()
        yield instance
    finally:
        try:
            if not keep:
                instance.remove()
        finally:
            mutex.release()


def _git_status() -> set[str]:
    command = ["git", "status", "--porcelain"]
    return set(subprocess.run(command, cwd=paths.REPO, capture_output=True, text=True, check=True).stdout.splitlines())
