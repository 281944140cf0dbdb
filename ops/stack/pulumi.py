"""Pulumi's commands on one stack. The environment comes from `environment`, the running from `process`."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from ops import paths
from ops.errors import DeployError, StateError
from ops.policy import waivers
from ops.stack import backend as backends
from ops.stack import environment, on_lab, problems, process, rehearsal, target
from ops.stack.backend import Backend
from ops.stack.events import EventLog, name_of
from ops.stack.reference import Stack
from ops.stack.state import Resource, State, from_export
from ops.toolchain import Toolchain

POLICIES = paths.REPO / "policies"
# The pack's variables: whose levels count, what was there before, and where it writes what it finds.
_ENVIRONMENT, _BEFORE, _FINDINGS = "PIDEA_POLICY_ENVIRONMENT", "PIDEA_POLICY_BEFORE", "PIDEA_POLICY_FINDINGS"

_ALWAYS = ("--non-interactive", "--color", "never")
# All services wait for their health checks at the same time; Pulumi's default is four waits for each processor.
_PARALLEL = ("--parallel", "32")
_UNATTENDED = ("--yes", "--skip-preview", "--suppress-progress", "--suppress-outputs", *_PARALLEL)


class Pulumi:
    """The Pulumi CLI on `stack`, with its environment. Reads nothing and runs nothing until asked."""

    def __init__(self, stack: Stack, tools: Toolchain, backend: Backend | None = None) -> None:
        self.stack = stack
        self.backend = backend or backends.choose(stack)
        self._tools = tools

    @property
    def _environment(self) -> dict[str, str]:
        # Anew for each command: on a lab, another node may be the one that answers.
        return environment.for_process(self._tools, self.backend, target.pulumi_engine_of(self.stack))

    def state(self) -> State | None:
        """The stack's state, None where the stack does not exist. Raises StateError where it cannot be read."""
        backends.prepare(self.backend)
        result = self._run(["stack", "export", "--stack", self.stack.name])
        if result.code and problems.NO_SUCH_STACK in result.errors:
            return None
        self._check(result)
        return from_export(json.loads(result.output))

    def init(self) -> State:
        """Makes the stack that `state` did not find. With a backend of ours the repository's files stay as they are."""
        command = ["stack", "init", self.stack.name, "--no-select"]
        if not self.backend.is_ours:
            self._check(self._run(command))
        else:
            # `stack init` writes the salt into the Pulumi.<stack>.yaml beside it: let that be one that nobody keeps.
            with tempfile.TemporaryDirectory(dir=self.stack.folder, prefix="init-") as scratch:
                shutil.copy(self.stack.root / "Pulumi.yaml", scratch)
                self._check(self._run(command, folder=Path(scratch)))
        made = self.state()
        if made is None:
            raise StateError(f"Pulumi made stack {self.stack.name} and does not find it; run the command again.")
        return made

    def cancel(self) -> None:
        """Takes away the locks of runs on this stack."""
        self._check(self._run(["cancel", "--yes", "--stack", self.stack.name]))

    def outputs(self, *, secrets: bool = False) -> dict[str, Any]:
        """The stack's outputs; secret ones read `[secret]` unless asked for."""
        command = ["stack", "output", "--json", "--stack", self.stack.name]
        result = self._run([*command, "--show-secrets"] if secrets else command)
        self._check(result)
        return dict(json.loads(result.output))

    def stream(
        self,
        command: str,
        options: Sequence[str],
        log: EventLog,
        salt: str | None,
        on_poll: Callable[[], None] | None = None,
    ) -> process.Result:
        """`refresh` or `destroy` without questions, its events fed to `log`.

        Raises StateError where the state is the trouble; any other failure is in the result's code and in `log`.
        """
        return self._stream([command, *_UNATTENDED, *options], log, salt, on_poll)

    def up(
        self, options: Sequence[str], log: EventLog, state: State, on_poll: Callable[[], None] | None = None
    ) -> process.Result:
        """`up` without questions, judged by the policy pack. Raises and returns as `stream` does."""
        return self._judged(["up", *_UNATTENDED, *options], log, state, on_poll)

    def preview(
        self,
        options: Sequence[str],
        log: EventLog,
        state: State,
        on_poll: Callable[[], None] | None = None,
        *,
        findings: Path | None = None,
        before: State | None = None,
        judged: bool = True,
    ) -> process.Result:
        """What `up` would do, judged by the policy pack, which adds what it finds to the file `findings`.

        The pack compares with `before`, where that is not `state`. Raises and returns as `stream` does. Not `judged`,
        it tells how long the pack takes.
        """
        if not judged:
            return self._stream(["preview", *options], log, state.salt, on_poll)
        return self._judged(["preview", *options], log, state, on_poll, findings, before)

    def secret_setting(self, key: str, state: State) -> str | None:
        """A secret setting in plain, None where the configuration has none. Raises StateError where it stays shut."""
        if key not in ((yaml.safe_load(self.stack.config_file.read_text()) or {}).get("config") or {}):
            return None
        with self._config_file(state.salt) as path:
            result = self._run(["config", "get", key, "--stack", self.stack.name, "--config-file", str(path)])
        self._check(result)
        # The CLI ends it with a line break of its own.
        return result.output.removesuffix("\n")

    def set_secret_setting(self, key: str, value: str, state: State) -> None:
        """Writes a setting into the configuration in force, encrypted; the rest of the file stays as it is."""
        has_salt = "encryptionsalt" in self.stack.config_file.read_text()
        with self._config_file(state.salt) as path:
            command = ["config", "set", "--secret", key, "--stack", self.stack.name, "--config-file", str(path)]
            self._check(self._run(command, given=value))
            lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if has_salt or not line.startswith("encryptionsalt:")]
        new = self.stack.config_file.with_suffix(".new")
        new.write_text("".join(kept))
        new.rename(self.stack.config_file)

    def up_without(
        self, urns: Sequence[str], log: EventLog, salt: str | None, on_poll: Callable[[], None] | None = None
    ) -> process.Result:
        """`up` of everything but these, unjudged, and the state put in order after it. Raises and returns as `stream`.

        Not by --target: with that Pulumi also deletes, or refuses to, what the program no longer has and hangs on a
        target, as the secret made of an earlier password does while services that come later still use it. What is left
        out stays in the state behind the new, where its users depend on it: a check of that order would end the run.
        """
        left_out = [argument for urn in urns for argument in ("--exclude", urn)]
        try:
            return self.stream("up", [*left_out, "--disable-integrity-checking"], log, salt, on_poll)
        finally:
            self.repair()

    def repair(self) -> None:
        """Puts the state's resources behind what they depend on; nothing where they are."""
        self._check(self._run(["state", "repair", "--yes", "--stack", self.stack.name]))

    def unprotect(self) -> None:
        """Takes the protection off every resource, so that `destroy` may remove it."""
        self._check(self._run(["state", "unprotect", "--all", "--yes", "--stack", self.stack.name]))

    def remove(self) -> None:
        """Forgets the stack, its history and, in a backend of ours, the state's copies. Its configuration stays."""
        options = ["--yes", "--preserve-config", *(["--remove-backups"] if self.backend.is_ours else [])]
        self._check(self._run(["stack", "rm", *options, "--stack", self.stack.name]))

    def _judged(
        self,
        arguments: Sequence[str],
        log: EventLog,
        state: State,
        on_poll: Callable[[], None] | None,
        findings: Path | None = None,
        before: State | None = None,
    ) -> process.Result:
        waivers.current(self.stack.environment)
        with tempfile.TemporaryDirectory(dir=self.stack.folder, prefix="policy-") as folder:
            known = Path(folder) / "before.json"
            known.write_text(json.dumps([_before(resource) for resource in (before or state).resources]))
            given = {
                _ENVIRONMENT: self.stack.environment,
                _BEFORE: str(known),
                **({_FINDINGS: str(findings)} if findings else {}),
            }
            options = ["--policy-pack", str(POLICIES)]
            if self.stack.instance is not None:
                parameters = Path(folder) / "parameters.json"
                of_lab = {} if self.stack.lab is None else on_lab.policy_parameters(self.stack)
                parameters.write_text(json.dumps({**rehearsal.POLICY_PARAMETERS, **of_lab}))
                options += ["--policy-pack-config", str(parameters)]
            return self._stream([*arguments, *options], log, state.salt, on_poll, given)

    def _stream(
        self,
        arguments: Sequence[str],
        log: EventLog,
        salt: str | None,
        on_poll: Callable[[], None] | None,
        given: Mapping[str, str] = MappingProxyType({}),
    ) -> process.Result:
        with self._config_file(salt) as config_file:
            result = process.run(
                self._command([*arguments, "--stack", self.stack.name, "--config-file", str(config_file)]),
                environment={**self._environment, **given},
                folder=self.stack.root,
                on_event=log.feed,
                on_poll=on_poll,
            )
        said = "\n".join([result.errors, *(failure.message for failure in log.failures)])
        if result.code and (error := problems.from_output(said, self.stack, self.backend)):
            raise error
        return result

    @contextlib.contextmanager
    def _config_file(self, salt: str | None) -> Iterator[Path]:
        """The configuration for one run. In a backend of ours a copy that has the salt too.

        So Pulumi has nothing to write into the repository, and a wrong passphrase fails before the first resource.
        """
        if not self.backend.is_ours:
            yield self.stack.config_file
            return
        text = self.stack.config_file.read_text()
        if salt and "encryptionsalt" not in (yaml.safe_load(text) or {}):
            text = f"{text.rstrip()}\nencryptionsalt: {salt}\n"
        with tempfile.TemporaryDirectory(dir=self.stack.folder, prefix="run-") as folder:
            path = Path(folder) / f"Pulumi.{self.stack.name}.yaml"
            path.write_text(text)
            yield path

    def _run(self, arguments: Sequence[str], folder: Path | None = None, given: str = "") -> process.Result:
        return process.run(
            self._command(arguments), environment=self._environment, folder=folder or self.stack.root, given=given
        )

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [str(self._tools.pulumi), *arguments, *_ALWAYS]

    def _check(self, result: process.Result) -> None:
        if result.code == 0:
            return
        if error := problems.from_output(result.errors + result.output, self.stack, self.backend):
            raise error
        said = (result.errors.strip() or result.output.strip()).removeprefix("error: ")
        raise DeployError(f"Pulumi failed: {said or f'exit code {result.code}'}")


def _before(resource: Resource) -> dict[str, Any]:
    """A resource as the policy pack reads it."""
    return {
        "type": resource.type,
        "name": name_of(resource.urn),
        "urn": resource.urn,
        "protect": resource.protected,
        "props": resource.inputs,
    }
