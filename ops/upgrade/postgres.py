"""PostgreSQL in another version. Minor: the same files. Major: a new folder with all rows, and the old one stays."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping

from infra import names
from infra.spec import MIB
from ops.errors import DeployError, HostError, UsageError
from ops.stack import restore_steps as steps
from ops.upgrade import transfer, versions
from ops.upgrade.transfer import Side
from ops.upgrade.versions import Change
from ops.upgrade.work import Say, Work, come_back

_SPARE_BYTES = 256 * MIB
# Stopping, deploying and starting two services; and what two busy processors copy and compare, indexes included.
_RESTART_SECONDS = 50
_BYTES_PER_SECOND = 6 * MIB
# Two servers in one volume, each with nothing to do but this.
_LEAST_MEMORY_BYTES = 512 * MIB
# As the application reads: by its role and its password, over the network.
_AS_THE_APPLICATION = (
    f"PGPASSWORD=$(cat {names.secret_path(names.POSTGRES_APP_PASSWORD)}) psql -XAtq --set=ON_ERROR_STOP=1"
    f" --host=127.0.0.1 --username={names.POSTGRES_APP_USERNAME} --dbname={names.POSTGRES_DATABASE}"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a change is going to take. `losses` are lines on rows that are different after it."""

    change: Change
    old_image: str
    new_image: str
    size_bytes: int
    free_bytes: int
    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    losses: tuple[str, ...] = ()

    @property
    def away_seconds(self) -> int:
        """About how long users wait."""
        copies = self.change.is_major and not self.change.is_back
        return _RESTART_SECONDS + (self.size_bytes // _BYTES_PER_SECOND if copies else 0)

    @property
    def lines(self) -> list[str]:
        """For people, before they are asked."""
        old, new = (versions.major(one) for one in (self.change.running, self.change.wanted))
        if not self.change.is_major:
            return ["the same files are used by the other version, and nothing in them is changed"]
        if not self.change.is_back:
            return [
                f"all rows ({self.size_bytes >> 20} MiB) are copied into a new folder of the volume, and compared",
                f"the files of {old} stay, for the way back; {self.free_bytes >> 20} MiB are free now",
            ]
        return [
            f"the files of {old} are set aside, and those of {new} are used again as they were left",
            *(self.losses or ("no table has another number of rows then",)),
            f"what was changed since in rows that are in both is as it was under {new} too",
        ]


def plan(work: Work, change: Change, new_image: str) -> Plan:
    """Raises UsageError, HostError where it cannot be done; nothing is touched."""
    data, old, new = work.data, versions.major(change.running), versions.major(change.wanted)
    leftover = f"{folder(new)}.new {_aside(new)} {_aside(old)}"
    made = Plan(
        change=change,
        old_image=work.image(),
        new_image=new_image,
        size_bytes=int(data.shell(f"du --summarize --bytes {folder(old)} | cut -f1")),
        free_bytes=steps.free_bytes(data, leftover),
    )
    if not change.is_major:
        return made
    if not change.is_back:
        needed = made.size_bytes + _SPARE_BYTES
        if made.free_bytes < needed:
            raise HostError(
                f"The new version's files take up to {needed >> 20} MiB beside those in use, and "
                f"{made.free_bytes >> 20} are free in the volume; make room. Nothing was touched."
            )
        return made
    if data.shell(f"[ ! -s {folder(new)}/PG_VERSION ] || echo there").strip() != "there":
        raise UsageError(
            f"The files of PostgreSQL {new} are not in the volume any more, so there is nothing to go back to: "
            f"restore a backup of then into a stack of that version (docs/runbooks/upgrade-postgres.md)."
        )
    work.say(f"reading the rows that PostgreSQL {new} left")
    before = transfer.contents(data, Side(image=new_image, folder=folder(new)), memory_bytes=_memory(work)).rows
    now = rows_now(work)
    losses = [
        f"{table}: {now.get(table, 0)} rows now, {before.get(table, 0)} after"
        for table in sorted({*now, *before})
        if now.get(table, 0) != before.get(table, 0)
    ]
    return dataclasses.replace(made, rows=before, losses=tuple(losses))


def folder(major: str) -> str:
    """Where in the volume a major version's files are."""
    return f"/data/{major}"


def rows_now(work: Work) -> dict[str, int]:
    """How many rows each table has, as somebody who reads over the network finds it."""
    return dict(work.patiently(lambda: work.service.ask("contents"))["rows"])


def change_over(work: Work, plan: Plan, say: Say) -> Mapping[str, int]:
    """Makes the change; users are away meanwhile. Gives the rows that each table has. Raises DeployError."""
    change = plan.change
    rows: Mapping[str, int]
    with come_back(work, change.running, lambda: _undo(work, change)):
        work.stop(names.APP)
        if not change.is_major:
            rows = rows_now(work)
            work.stop(names.POSTGRES)
        elif change.is_back:
            rows = plan.rows
            _give_up(work, change, say)
        else:
            rows = _carry_over(work, plan, say)
        work.deploy([names.POSTGRES, names.BACKUP])
        work.require_version(change)
        say("comparing the rows once more, over the network")
        _require_rows(work, rows)
        if change.is_major and change.is_back:
            _set_aside(work, versions.major(change.running))
            work.start(names.REDIS)
    work.start(names.APP)
    return rows


def after(work: Work, change: Change, say: Say) -> None:
    """With users back: what is stored from now on begins with the files in use."""
    if change.is_major:
        work.patiently(lambda: steps.new_base(work.service, say))


def put_right(work: Work, running: str) -> None:
    """After a run that was killed: nobody may find a copy that others have written past."""
    for major in work.data.shell("ls /data").split():
        # One that is newer than what runs was never served, or was given up.
        if major.isdigit() and int(major) > int(versions.major(running)):
            _set_aside(work, major)


def forget(work: Work, running: str) -> tuple[list[str], int]:
    """What of the volume is of versions that do not run, and how many bytes that is."""
    used = versions.major(running)
    found = [
        name
        for name in work.data.shell("ls /data").split()
        if name != used and (name.isdigit() or name.startswith("given-up-") or name.endswith(".new"))
    ]
    if not found:
        return [], 0
    paths = " ".join(shlex.quote(f"/data/{name}") for name in found)
    return found, sum(int(line) for line in work.data.shell(f"du --summarize --bytes {paths} | cut -f1").split())


def remove(work: Work, folders: list[str]) -> None:
    """Takes them away."""
    work.data.shell("rm -rf " + " ".join(shlex.quote(f"/data/{name}") for name in folders))


def _carry_over(work: Work, plan: Plan, say: Say) -> Mapping[str, int]:
    old, new = versions.major(plan.change.running), versions.major(plan.change.wanted)
    work.stop(names.POSTGRES)
    _end_history(work, say)
    data = work.data
    data.shell(f"rm -rf {folder(new)}.new {_aside(new)} {_aside(old)}")
    found = transfer.transfer(
        data,
        Side(image=plan.old_image, folder=folder(old)),
        Side(image=plan.new_image, folder=folder(new)),
        say,
        memory_bytes=_memory(work),
    )
    return found.rows


def _give_up(work: Work, change: Change, say: Say) -> None:
    """Everything that knows of the rows that are given up stops and is emptied; their WAL is stored before."""
    work.stop(names.REDIS)
    work.stop(names.POSTGRES)
    _end_history(work, say)
    for name, uid in ((names.REDIS_DATA, names.REDIS_UID), (names.APP_CACHE, names.APP_UID)):
        steps.empty(steps.volume(work.service, name, uid, names.BACKUP))


def _end_history(work: Work, say: Say) -> None:
    steps.end_history(work.service, say)
    # Its programs are of the version that goes. Started anew it is well in seconds; an update would watch it for long.
    work.stop(names.BACKUP)


def _undo(work: Work, change: Change) -> None:
    if change.is_major and not change.is_back:
        # Users are about to write to the old files: the copy must not be taken for the truth by anybody.
        _set_aside(work, versions.major(change.wanted))


def _set_aside(work: Work, major: str) -> None:
    work.data.shell(f"[ ! -e {folder(major)} ] || {{ rm -rf {_aside(major)}; mv {folder(major)} {_aside(major)}; }}")


def _aside(major: str) -> str:
    return f"/data/given-up-{major}"


def _memory(work: Work) -> int:
    return max(work.memory_bytes, _LEAST_MEMORY_BYTES)


def _require_rows(work: Work, rows: Mapping[str, int]) -> None:
    now = rows_now(work)
    wrong = [
        f"{table}: {rows.get(table, 'no')} rows before, {now.get(table, 'no')} now"
        for table in sorted({*rows, *now})
        if rows.get(table) != now.get(table)
    ]
    # Its own way in, table by table: a grant that is missing would show here.
    for table in [name for name in rows if name.startswith("public.")]:
        sql = f"SELECT count(*) FROM {table}"  # noqa: S608 - the name is the server's, quoted by it
        command = ["bash", "-euc", f"{_AS_THE_APPLICATION} --command={shlex.quote(sql)}"]
        seen = work.service.members.run(names.POSTGRES, command).strip()
        if seen != str(rows[table]):
            wrong.append(f"{table}: the application's role sees {seen} rows of {rows[table]}")
    if wrong:
        raise DeployError("\n".join(["The rows are not those of before:", *wrong]))
