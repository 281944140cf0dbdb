"""What the user calls a stack: an environment (`staging`, `prod`), or an instance of it beside it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ops import paths
from ops.errors import UsageError

_INSTANCE_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_INSTANCE_NAME_MAX_LENGTH = 18


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack by name: `environment` says which configuration, `instance` (a name) that it is a copy beside it."""

    environment: str
    instance: str | None = None
    root: Path = paths.REPO
    local: Path = paths.LOCAL

    @property
    def name(self) -> str:
        """Pulumi's name of the stack."""
        return f"{self.environment}-{self.instance}" if self.instance else self.environment

    @property
    def folder(self) -> Path:
        """Where its state, passphrase and logs live: one for all environments, one for each instance."""
        return self.local / "instances" / self.instance if self.instance else self.local

    @property
    def environment_file(self) -> Path:
        """The configuration in the repository."""
        return self.root / f"Pulumi.{self.environment}.yaml"

    @property
    def config_file(self) -> Path:
        """The configuration in force: the repository's own, or the instance's copy."""
        return self.folder / f"Pulumi.{self.environment}.yaml" if self.instance else self.environment_file

    @property
    def arguments(self) -> str:
        """How a person names it on the command line."""
        return f"{self.environment} --instance {self.instance}" if self.instance else self.environment


def environments(root: Path = paths.REPO) -> tuple[str, ...]:
    """The environments that have a `Pulumi.<name>.yaml`."""
    return tuple(sorted(path.name.split(".", 1)[1].removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml")))


def resolve(
    environment: str, instance: str | None = None, *, root: Path = paths.REPO, local: Path = paths.LOCAL
) -> Stack:
    """The stack of that name. Raises UsageError where there is no such environment, or the name cannot be one."""
    known = environments(root)
    if environment not in known:
        raise UsageError(
            f"There is no stack called {environment!r}; choose one of: {', '.join(known) or '(none yet)'}."
        )
    if instance is not None and (not _INSTANCE_NAME.fullmatch(instance) or len(instance) > _INSTANCE_NAME_MAX_LENGTH):
        raise UsageError(
            f"{instance!r} cannot name an instance; use at most {_INSTANCE_NAME_MAX_LENGTH} lower-case letters, "
            "digits and single dashes, starting with a letter."
        )
    return Stack(environment=environment, instance=instance, root=root, local=local)
