"""What the user calls a stack: an environment (`staging`, `prod`), or an instance of it beside it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ops import paths
from ops.errors import UsageError

LAB_DEFAULT = "lab"
_INSTANCE_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_INSTANCE_NAME_MAX_LENGTH = 18


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack by name: `environment` says which configuration, `instance` (a name) that it is a copy beside it.

    `lab` names the lab whose swarm it is on; None means the engine that the docker command line would use.
    """

    environment: str
    instance: str | None = None
    lab: str | None = None
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
    def lab_marker(self) -> Path:
        """The file that says of an instance that it is on the lab of the same name."""
        return self.folder / "on-lab"

    @property
    def environment_file(self) -> Path:
        """The configuration in the repository."""
        return self.root / f"Pulumi.{self.environment}.yaml"

    @property
    def config_file(self) -> Path:
        """The configuration in force: the repository's own, or the instance's copy."""
        return self.folder / f"Pulumi.{self.environment}.yaml" if self.instance else self.environment_file

    @property
    def config_name(self) -> str:
        """The configuration in force as people find it, from the repository's folder."""
        # Not the root: a rollback runs the sources of an earlier release, with the instances where they are.
        beside = self.local.parent if self.instance else self.root
        return str(self.config_file.relative_to(beside))

    @property
    def arguments(self) -> str:
        """How a person names it on the command line."""
        if self.lab is not None:
            return f"{self.environment} --lab" + ("" if self.lab == LAB_DEFAULT else f" --instance {self.instance}")
        return f"{self.environment} --instance {self.instance}" if self.instance else self.environment


def environments(root: Path = paths.REPO) -> tuple[str, ...]:
    """The environments that have a `Pulumi.<name>.yaml`."""
    return tuple(sorted(path.name.split(".", 1)[1].removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml")))


def resolve(
    environment: str,
    instance: str | None = None,
    *,
    lab: bool = False,
    root: Path = paths.REPO,
    local: Path = paths.LOCAL,
) -> Stack:
    """The stack of that name. An instance on a lab has the lab's name, and is known by it from then on without `lab`.

    Raises UsageError where there is no such environment, or the name cannot be one.
    """
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
    if lab:
        instance = instance or LAB_DEFAULT
    made = Stack(environment=environment, instance=instance, root=root, local=local)
    if instance is not None and (lab or made.lab_marker.exists()):
        made = dataclasses.replace(made, lab=instance)
    return made
