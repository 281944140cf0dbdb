"""`upgrade`, from the first question to the last check. Read `prepare`, then `make`."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from infra import names
from infra.plan.images import major_of
from infra.settings import StackSettings
from ops.errors import UsageError
from ops.stack import settings, target
from ops.stack.backups import Service
from ops.stack.reference import Stack
from ops.upgrade import images, postgres, redis, versions
from ops.upgrade.versions import Change
from ops.upgrade.work import Say, Work

SERVERS = (names.POSTGRES, names.REDIS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """A change that can be made; `details` is its plan."""

    work: Work
    change: Change
    details: postgres.Plan | redis.Plan

    @property
    def lines(self) -> list[str]:
        """For people, before they are asked."""
        change, what = self.change, self.change.title
        seconds = self.details.away_seconds
        return [
            f"{what} of {self.work.stack.name}: {change.running} runs, {change.wanted} is asked for",
            *(f"  {line}" for line in self.details.lines),
            "  first, with users served: a backup, which is read back and compared",
            f"  then the application is away for about {seconds} s, until the data is compared with what there was",
        ]

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        change = self.change
        return {
            "server": change.server,
            "running": change.running,
            "wanted": change.wanted,
            "major": change.is_major,
            "back": change.is_back,
            "away_seconds_expected": self.details.away_seconds,
            "about": self.details.lines,
        }


def work_of(stack: Stack, what: str, say: Say) -> Work:
    """Raises UsageError for a server that there is not, and for one that this command does not change."""
    if what not in SERVERS:
        raise UsageError(f"Nothing that can be upgraded is called {what!r}; there is {' and '.join(SERVERS)}.")
    service = Service.of(stack)
    if what not in {spec.name for spec in service.plan.services}:
        raise UsageError(
            f"{what} of {stack.name} is a cluster: another minor version comes to it with `./pidea up "
            f"{stack.arguments}`, member by member, and another major version is not offered."
        )
    if major_of(service.plan, what) is None:
        raise UsageError(
            f"{what} of {stack.name} has an image of somebody else's (pidea:images), whose version is its own affair."
        )
    return Work(stack=stack, plan=service.plan, service=service, what=what, say=say)


def put_right(work: Work) -> bool:
    """Starts what a killed run left standing; whether there was something. Raises DeployError where it stays away."""
    stopped = work.stopped()
    if not stopped:
        return False
    work.say(f"an earlier run was interrupted: {' and '.join(stopped)} of {work.stack.name} do not run")
    for name in [name for name in stopped if name != names.APP]:
        work.start(name)
    if names.POSTGRES in stopped or work.what == names.POSTGRES:
        before_users = dataclasses.replace(work, what=names.POSTGRES)
        postgres.put_right(before_users, before_users.running())
    if names.APP in stopped:
        work.start(names.APP)
    if work.what == names.REDIS:
        redis.put_right(work)
    return True


def change_of(work: Work) -> tuple[Change, str]:
    """What is to be done, and the image to do it with, which is built where it is not there.

    Raises HostError for a version that Debian does not have.
    """
    running = work.running()
    specs = {spec.name: spec for spec in work.plan.images}
    engine = target.builder_of(work.stack) or target.endpoint_of(work.stack)
    base_image = StackSettings.from_config(settings.read_config(work.stack)).base_image
    images.build(work.plan, (work.what, names.BACKUP), base_image, engine, work.say)
    image = images.name_of(specs[work.what])
    return Change(server=work.what, running=running, wanted=images.version_in(image, work.what, engine)), image


def prepare(work: Work, change: Change, image: str, *, back: bool) -> Prepared:
    """Raises UsageError, HostError, StateError where it cannot be done; nothing is touched."""
    versions.refuse(change, back=back, command=work.command)
    work.pulumi()
    work.service.container()  # without the backup service there is no way back
    details = postgres.plan(work, change, image) if work.what == names.POSTGRES else redis.plan(work, change)
    return Prepared(work=work, change=change, details=details)


def make_ready(prepared: Prepared) -> None:
    """With users served: a backup of now, restored into a throw-away server and compared, and the images built.

    Raises what the backup service does, DeployError.
    """
    work = prepared.work
    work.say("a backup of all there is")
    work.service.ask("now", say=work.say)
    if work.what == names.POSTGRES:
        work.say("reading it back into a throw-away server, and comparing")
        work.service.ask("drill", say=work.say)
    else:
        work.say("reading it back")
        work.service.ask("prepare", names.REDIS, say=work.say)
        work.service.ask("discard", names.REDIS)
    # On the way back they are there, and until its end `up` must find in the state what it is not to take away.
    work.make_ready(images=not prepared.change.is_back)


def make(prepared: Prepared) -> dict[str, Any]:
    """Makes the change; gives what it measured. Raises DeployError; what ran before serves again then."""
    work, change, begun = prepared.work, prepared.change, time.monotonic()
    done: dict[str, Any] = {"server": change.server, "from": change.running, "to": change.wanted}
    if isinstance(prepared.details, postgres.Plan):
        done["rows"] = dict(postgres.change_over(work, prepared.details, work.say))
    else:
        done["keys"] = redis.change_over(work, prepared.details, work.say)
    done["away_seconds"] = round(time.monotonic() - begun, 1)
    work.say(f"users are back after {done['away_seconds']:.0f} s")
    if work.what == names.POSTGRES:
        postgres.after(work, change, work.say)
    else:
        redis.after(work, work.say)
    work.require_well()
    return done
