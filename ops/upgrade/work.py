"""What every change of a version does: users wait, one server is deployed alone, and each step has a way out."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from infra import names
from infra.names import physical
from infra.spec import DeploymentPlan
from ops.errors import DeployError, OpsError, UsageError
from ops.stack import deploy, environment, heal, progress, restore, scale, swarm, target
from ops.stack import restore_steps as steps
from ops.stack.backups import Service
from ops.stack.events import EventLog, name_of
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack
from ops.stack.versions import running
from ops.stack.volumes import Volume
from ops.upgrade import versions
from ops.upgrade.versions import Change

_Answer = TypeVar("_Answer")

Say = Callable[[str], None]
_SERVICE = "docker:index/service:Service"
_ANSWER_SECONDS = 120.0
_POLL_SECONDS = 0.5
_DATA = {
    names.POSTGRES: (names.POSTGRES_DATA, names.POSTGRES_UID),
    names.REDIS: (names.REDIS_DATA, names.REDIS_UID),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """A change of `what`, PostgreSQL or Redis of `stack`, whose settings ask for `plan`."""

    stack: Stack
    plan: DeploymentPlan
    service: Service
    what: str
    say: Say
    # What a release that came with the new version takes away: services that are not deployed here may still use it.
    later: list[str] = dataclasses.field(default_factory=list)

    @property
    def data(self) -> Volume:
        """The server's volume, worked on with the backup service's image."""
        return steps.volume(self.service, *_DATA[self.what], names.BACKUP)

    @property
    def memory_bytes(self) -> int:
        """What the server may use, and so may one that works on its files meanwhile."""
        (spec,) = [found for found in self.plan.services if found.name == self.what]
        return spec.resources.memory_limit_bytes

    @property
    def command(self) -> str:
        """As a person types it."""
        return f"./pidea upgrade {self.stack.arguments} {self.what}"

    def running(self) -> str:
        """The version that the server says it has. Raises DeployError where it does not say it in time."""
        return self.patiently(lambda: running(self.what, self.service.members.run))

    def patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        """What somebody answers who may just have been started. Raises the last error."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                return ask()
            except OpsError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_SECONDS)

    def image(self) -> str:
        """The image that the server's service has just now."""
        with swarm.client(where=target.endpoint_of(self.stack)) as api:
            return swarm.services(api, self.plan.instance)[physical(self.plan.instance, self.what)].image

    def stopped(self) -> list[str]:
        """Which of the services that a change stops have no tasks wanted: an earlier run was killed."""
        with swarm.client(where=target.endpoint_of(self.stack)) as api:
            found = swarm.services(api, self.plan.instance)
        order = (names.REDIS, names.POSTGRES, names.BACKUP, names.APP)
        missing = [name for name in order if physical(self.plan.instance, name) not in found]
        if missing:
            raise UsageError(f"{self.stack.name} is not up; bring it up first: `./pidea up {self.stack.arguments}`.")
        return [name for name in order if found[physical(self.plan.instance, name)].replicas == 0]

    def start(self, service: str) -> None:
        """Returns when all of its tasks are healthy."""
        self.say(f"starting {service}")
        scale.start(self.stack, self.plan, service)

    def stop(self, service: str) -> None:
        """Returns when no task of it runs."""
        self.say(f"stopping {service}")
        scale.stop(self.stack, self.plan, service)

    def pulumi(self) -> Pulumi:
        """Raises StateError where its state is locked, or an interrupted run has left it open."""
        pulumi = Pulumi(self.stack, environment.tools())
        state = deploy.open_state(pulumi)
        if state.pending:
            raise heal.interrupted(self.stack, state)
        return pulumi

    def make_ready(self, *, images: bool) -> None:
        """Everything that takes time and that no service notices: with `images` Pulumi builds them."""
        self.say("seeing what changes")
        pulumi, log = self.pulumi(), EventLog()
        state = deploy.open_state(pulumi)
        with progress.watching(log) as on_poll:
            result = pulumi.preview(["--refresh=false"], log, state, on_poll, judged=False)
        self._require(result.code, log, result.errors)
        kept = {change.urn for change in log.changes if not change.operation.startswith("delete")}
        self.later[:] = sorted({change.urn for change in log.changes} - kept)
        if images:
            self.say("building the images")
            self._deploy(())

    def deploy(self, services: Sequence[str]) -> None:
        """Deploys these services and what they need, and nobody else. Raises DeployError."""
        self.say(f"deploying {' and '.join(services)}")
        self._deploy(services)
        # One that was stopped and has not changed was nothing to Pulumi.
        for name in [name for name in self.stopped() if name in services]:
            self.start(name)

    def _deploy(self, services: Sequence[str]) -> None:
        pulumi, log = self.pulumi(), EventLog(progress.show)
        state = deploy.open_state(pulumi)
        wanted = {f"service-{name}" for name in services}
        others = [item.urn for item in state.resources if item.type == _SERVICE and name_of(item.urn) not in wanted]
        with progress.watching(log) as on_poll:
            result = pulumi.up_without([*others, *self.later], log, state.salt, on_poll)
        self._require(result.code, log, result.errors)

    def _require(self, code: int, log: EventLog, errors: str) -> None:
        if code or log.failures:
            said = [failure.message for failure in log.failures] or [errors.strip()]
            raise DeployError("\n".join([f"{self.what} could not be deployed:", *said]))

    def require_version(self, change: Change) -> None:
        """Raises DeployError where another version runs than the one that was to be."""
        now = self.running()
        if versions.numbers(now) != versions.numbers(change.wanted):
            raise DeployError(f"{change.title} {now} runs, and not {change.wanted}; see `./pidea logs` for why.")
        self.say(f"{change.title} {now} runs")

    def require_well(self) -> None:
        """Raises DeployError where a service of the stack is not well, in time."""
        found = restore.problems(self.service)
        deadline = time.monotonic() + _ANSWER_SECONDS
        while found and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            found = restore.problems(self.service)
        if found:
            raise DeployError("\n".join(["The version is the new one, but not all is well:", *found]))


@contextlib.contextmanager
def come_back(work: Work, before: str, undo: Callable[[], None]) -> Iterator[None]:
    """Where the block fails or is interrupted: what ran before serves again, `undo` puts its files as they were.

    Where another version runs by then, the application stays away: its rows are not known to be right.
    """
    try:
        yield
    except BaseException:
        with _uninterrupted():
            work.say("this failed; going back to what there was")
            try:
                undo()
                for name in work.stopped():
                    if name != names.APP:
                        work.start(name)
                now = work.running()
                if versions.numbers(now) != versions.numbers(before):
                    work.say(f"{work.what} {now} runs by now; the application stays away. Next: `{work.command}` again")
                else:
                    work.start(names.APP)
                    work.say(f"{work.what} {before} serves as it did, with all that it had")
            except OpsError as error:
                work.say(f"that failed too: {error}")
                work.say(f"`{work.command}` again puts it right")
        raise


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C has been said; said again it must not keep the stack away."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, signal.SIG_IGN) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)
