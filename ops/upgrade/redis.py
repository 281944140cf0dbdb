"""Redis in another version, on the same files. It is a cache: going back, it begins empty and fills itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from infra import names
from infra.spec import MIB
from ops.errors import DeployError, HostError
from ops.stack import restore_steps as steps
from ops.upgrade.bench import bench
from ops.upgrade.versions import Change
from ops.upgrade.work import Say, Work, come_back

_SPARE_BYTES = 64 * MIB
_RESTART_SECONDS = 50
_BYTES_PER_SECOND = 30 * MIB
_COUNT = Path(__file__).with_name("redis_count.sh").read_text()
_FILES, _COPY = "/data/appendonlydir", "/data/before-upgrade"
_INFO = (
    *("bash", "-euo", "pipefail", "-c"),
    f"REDISCLI_AUTH=$(cat {names.secret_path(names.REDIS_EXPORTER_PASSWORD)}) redis-cli --no-auth-warning"
    f" --user {names.REDIS_EXPORTER_USERNAME} INFO keyspace | sed -n 's/^db[0-9]*:keys=\\([0-9]*\\).*/\\1/p'",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a change is going to take."""

    change: Change
    old_image: str
    size_bytes: int
    free_bytes: int
    keys: int

    @property
    def away_seconds(self) -> int:
        """About how long users wait."""
        return _RESTART_SECONDS + (0 if self.change.is_back else 2 * self.size_bytes // _BYTES_PER_SECOND)

    @property
    def lines(self) -> list[str]:
        """For people, before they are asked."""
        if self.change.is_back and self.change.is_major:
            return [
                f"{self.change.wanted} cannot read the files of {self.change.running}: {self.keys} keys are given up",
                "nothing of users is lost: it is a cache, and fills itself from PostgreSQL",
            ]
        return [f"the other version reads the same files: {self.keys} keys, {self.size_bytes >> 20} MiB"]


def plan(work: Work, change: Change) -> Plan:
    """Raises HostError where there is no room for a copy of the files; nothing is touched."""
    data = work.data
    made = Plan(
        change=change,
        old_image=work.image(),
        size_bytes=int(data.shell(f"mkdir -p {_FILES}; du --summarize --bytes {_FILES} | cut -f1")),
        free_bytes=steps.free_bytes(data, _COPY),
        keys=keys_now(work),
    )
    if not _begins_empty(change) and made.free_bytes < made.size_bytes + _SPARE_BYTES:
        raise HostError(
            f"A copy of the files takes {made.size_bytes >> 20} MiB, and {made.free_bytes >> 20} are free in the "
            "volume; make room. Nothing was touched."
        )
    return made


def keys_now(work: Work) -> int:
    """How many keys the server says it has."""
    said = work.patiently(lambda: work.service.members.run(names.REDIS, _INFO))
    return sum(int(line) for line in said.split())


def change_over(work: Work, plan: Plan, say: Say) -> int:
    """Makes the change; users are away meanwhile. Gives how many keys there are after it. Raises DeployError."""
    change = plan.change
    with come_back(work, change.running, lambda: _undo(work, plan)):
        work.stop(names.APP)
        work.stop(names.REDIS)
        data, most, least = work.data, 0, 0
        if _begins_empty(change):
            steps.empty(data)
        else:
            say("counting the keys that must be there after it")
            with bench(data, "old", plan.old_image, memory_bytes=work.memory_bytes) as run:
                most, least = (int(number) for number in run(_COUNT).split())
            data.shell(f"rm -rf {_COPY}; cp --archive {_FILES} {_COPY}.new; sync; mv {_COPY}.new {_COPY}")
        if change.is_major:
            # Started anew it is well in seconds, where an update watches it for long.
            work.stop(names.BACKUP)
        work.deploy([names.REDIS, names.BACKUP])
        work.require_version(change)
        keys = keys_now(work)
        if not least <= keys <= most:
            raise DeployError(f"Redis has {keys} keys, and had {most}, of which {least} must still be there.")
    work.start(names.APP)
    data.shell(f"rm -rf {_COPY}")
    return keys


def after(work: Work, say: Say) -> None:
    """With users back: the newest copy is of the version that runs."""
    say("a new copy of Redis: what is restored next can be read by this version")
    work.patiently(lambda: work.service.ask("now", names.REDIS))


def put_right(work: Work) -> None:
    """After a run that was killed, with users back: a copy that is older than what they wrote must not come back."""
    work.data.shell(f"rm -rf {_COPY} {_COPY}.new")


def _begins_empty(change: Change) -> bool:
    return change.is_major and change.is_back


def _undo(work: Work, plan: Plan) -> None:
    """The files as they were, where the other version may have written to them."""
    is_stopped = names.REDIS in work.stopped()
    if _begins_empty(plan.change) or (work.image() == plan.old_image and not is_stopped):
        return
    if not is_stopped:
        work.stop(names.REDIS)
    work.data.shell(f"[ ! -e {_COPY} ] || {{ rm -rf {_FILES}; mv {_COPY} {_FILES}; }}")
