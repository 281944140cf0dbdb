"""A whole stack from nothing but its backups and their password: brought up, then filled. Each step is timed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra import names
from infra.errors import InfraError
from infra.settings import StackSettings
from ops import console
from ops.backup.catalog import moment
from ops.backup.errors import RequestError
from ops.errors import DeployError, HostError, UsageError
from ops.stack import deploy, lock, restore, settings, swarm, target
from ops.stack.backups import Service
from ops.stack.progress import Steps
from ops.stack.reference import Stack
from ops.stack.silences import SilenceError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where the backups are: in an exported `file`, `offsite`, or, for neither, where the settings keep them."""

    file: Path | None
    offsite: bool
    password: str

    @property
    def command(self) -> list[str]:
        """What the backup service is asked to do with them."""
        if self.file is None and not self.offsite:
            return ["adopt"]
        return ["import", *(["--offsite"] if self.offsite else [])]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recovered:
    """What came back: PostgreSQL as it was `at`, with `rows` by table.

    `rto_seconds` are from the command to a stack that is well and serves the rows; the last of `steps`, a new base, is
    made while it does.
    """

    at: str
    rows: Mapping[str, int]
    silences: int
    urls: Mapping[str, str]
    steps: Sequence[tuple[str, float]]
    rto_seconds: float

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            **dataclasses.asdict(self),
            "steps": [{"step": title, "seconds": round(seconds, 1)} for title, seconds in self.steps],
            "rto_seconds": round(self.rto_seconds, 1),
        }


def check(stack: Stack, source: Source, at: str | None) -> None:
    """Raises UsageError where the settings do not name the place that `source` is, or `at` is no time.

    Touches nothing. Whether the backups reach `at` is known when they can be read.
    """
    if at is not None:
        try:
            moment(at)
        except RequestError as error:
            raise UsageError(str(error)) from error
    if source.file is not None:
        return
    of = stack if stack.config_file.exists() else Stack(environment=stack.environment, root=stack.root)
    try:
        backup = StackSettings.from_config(settings.read_config(of)).backup
    except InfraError as error:
        raise UsageError(f"{of.config_name} cannot be used:\n{error}") from error
    wanted, place = ("offsite", backup.offsite) if source.offsite else ("repository", backup.repository)
    if place is None or stack.instance is not None:
        raise UsageError(
            f"{stack.name} has no pidea:backup, {wanted}, in its settings; name the file that `backup export` wrote, "
            "or the server first (docs/runbooks/backup-servers.md)."
        )


def is_up(stack: Stack) -> bool:
    """Whether services of the stack run, which may have data of their own."""
    if not stack.config_file.exists():
        return False
    plan = settings.plan_of(stack)
    try:
        with swarm.client(where=target.endpoint_of(stack)) as api:
            return bool(swarm.services(api, plan.instance))
    except HostError:
        return False  # no Docker yet, or no swarm


def recover(stack: Stack, source: Source, *, at: str | None, other_stack: bool, newer_schema: bool) -> Recovered:
    """Brings the stack up, takes the backups over, restores PostgreSQL and the silences. Run it again where it ended.

    Raises what `deploy` and `restore` do, StateError for a wrong password.
    """
    steps = Steps()
    done = deploy.deploy(stack)
    steps.taken += done.steps
    service = Service.of(stack)
    with lock.exclusive(stack):
        with steps.step("Take the backups over"):
            service.take_over(source.command, source.password, _say, source.file)
        with steps.step("Make PostgreSQL's rows ready"):
            prepared = restore.prepare(
                service, names.POSTGRES, at, None, _say, other_stack=other_stack, newer_schema=newer_schema
            )
        with steps.step("Put them in place"):
            restore.replace(service, names.POSTGRES, prepared, _say)
        with steps.step("Bring the silences back"):
            silences = _silences(service, other_stack=other_stack)
        served = sum(seconds for _, seconds in steps.taken)
        with steps.step("Back PostgreSQL up anew"):
            restore.new_base(service, names.POSTGRES, _say)
    return Recovered(
        at=prepared["at"],
        rows=prepared["rows"],
        silences=silences,
        urls=deploy.urls(stack, done.outputs),
        steps=steps.taken,
        rto_seconds=served,
    )


def _silences(service: Service, *, other_stack: bool) -> int:
    # Their absence is heard: nothing that users miss depends on them.
    try:
        return int(restore.silences(service, None, None, other_stack=other_stack)["missing"])
    except (UsageError, DeployError, SilenceError) as error:
        _say(f"silences are not back: {error}")
        return 0


def _say(line: str) -> None:
    console.say(f"  {line}")
