"""What backups and restores cost on a stack of their own, beside a dump of the same data, in turns in one run."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from infra import names
from ops import console
from ops.bench import backup_data, measure, stand
from ops.bench.backup_report import Bench, Cost, Served
from ops.bench.measure import Phase
from ops.bench.stand import Mix, Stand
from ops.bench.yardstick import Yardstick
from ops.errors import DeployError
from ops.stack import lock
from ops.stack import restore as restoring
from ops.stack.backups import Service

INSTANCE = "bench-backup"
_Made = TypeVar("_Made")
# Of users, while backups are made and while none is.
PER_SECOND = 100
LOAD_SECONDS = 45
# As `pidea:backup` says it: by its schedule nothing begins while something is measured.
_NEVER = "0 0 29 2 *"
_SPARE_MIB = 64
_REDIS_MIB = 512
_PROGRAM = ("/usr/bin/python3.11", "-c")
# So that a first backup is one: else the WAL of the filling would be in the repository before.
_EMPTY = """
import os, shutil
from ops.backup import state
from ops.backup.jobs import Jobs
from ops.backup.settings import Settings
jobs = Jobs(Settings.from_environment(os.environ), wait_seconds=900)
with jobs.turn(), state.alone(jobs.settings.data, state.WAL, wait_seconds=300):
    for folder in (jobs.settings.repository.url, jobs.settings.data / "cache"):
        shutil.rmtree(folder, ignore_errors=True)
    jobs.restic.ensure()
"""


def run(*, postgres_mib: int, redis_mib: int, rounds: int, loads: int, keep: bool) -> Bench:
    """Measures everything `rounds` times and what users have in `loads` loads of each kind, on an instance that is
    removed at the end unless it is to be kept.

    Raises DeployError, also where a restore did not bring everything back.
    """
    load_before = os.getloadavg()[0]
    with stand.opened(keep=keep, instance=INSTANCE, config=settings(redis_mib)) as opened:
        with console.step("Data"):
            chats = backup_data.fill(opened, postgres_mib=postgres_mib, redis_mib=redis_mib)
        bench = _Bench(opened)
        bench.begin_anew()
        for number in range(rounds):
            with console.step(f"Round {number + 1} of {rounds}"):
                bench.round(dumps_first=number % 2 == 1)
        opened.mix = Mix(chats=min(Mix().chats, chats))
        served = bench.serve(loads)
        return Bench(
            postgres_bytes=backup_data.database_bytes(opened),
            redis_bytes=bench.redis_bytes,
            rounds=rounds,
            load=load_before,
            costs=bench.costs,
            served=served,
        )


def settings(redis_mib: int) -> Mapping[str, Mapping[str, Any]]:
    """What the instance has of its own: room in Redis for what is filled in beside the application's cache, and no
    backup by the clock."""
    return {
        "pidea:redis": {"maxMemoryMib": max(_REDIS_MIB, redis_mib + _SPARE_MIB)},
        "pidea:backup": dict.fromkeys(("schedule", "offsiteSchedule", "checkSchedule", "drillSchedule"), _NEVER),
    }


class _Bench:
    """The measurements on an open stand, each added to `costs` by its name."""

    def __init__(self, opened: Stand) -> None:
        self._stand = opened
        self._service = Service.of(opened.stack)
        self._container = opened.container(names.BACKUP, of_stack=True)
        self._yardstick = Yardstick(opened)
        self.redis_bytes = backup_data.redis_bytes(opened)
        self.costs: dict[str, list[Cost]] = {}

    def begin_anew(self) -> None:
        """An epoch whose WAL does not hold the filling, which no backup of an ordinary day has to store."""
        self._service.ask("now", "postgres")

    def round(self, *, dumps_first: bool) -> None:
        """Backups in all their kinds, then both ways back."""
        for step in (self._dump, self._first) if dumps_first else (self._first, self._dump):
            step()
        backup_data.change_newest(self._stand)
        self._backup("newest", "postgres")
        there, at = backup_data.messages(self._stand), _now()
        # Both are taken back by the restore: where rows were changed all over the table there is room all over it, into
        # which the next round's changes would go.
        backup_data.change_scattered(self._stand)
        self._backup("scattered", "postgres")
        backup_data.lose(self._stand)
        self._restore(at)
        self._refuse_fewer(backup_data.messages(self._stand), there, "The restore")
        self._read_back(there)

    def serve(self, loads: int) -> tuple[Served, Served]:
        """Users' requests without a backup and while one follows the other, the first of them into an empty
        repository, in turns."""
        seen: dict[bool, list[Phase]] = {False: [], True: []}
        self._load()  # fills the application's caches
        for number in range(2 * loads):
            # Each goes first as often as the other.
            during = number % 4 in (1, 2)
            console.say(f"  {PER_SECOND} requests a second {'during backups' if during else 'without a backup'}")
            if during:
                self._empty()
            with self._backups() if during else contextlib.nullcontext():
                seen[during].append(measure.phase("during" if during else "without", self._load()))
        return Served.of(seen[False]), Served.of(seen[True])

    def _load(self) -> list[dict[str, Any]]:
        return measure.steady(self._stand, self._stand.edge, PER_SECOND, LOAD_SECONDS)

    def _backups(self) -> contextlib.AbstractContextManager[None]:
        ended = threading.Event()

        def work() -> None:
            while not ended.is_set():
                self._service.ask("now", "postgres", "redis")

        return stand.beside(work, ended)

    def _empty(self) -> None:
        self._stand.run_in(self._container, [*_PROGRAM, _EMPTY])

    def _first(self) -> None:
        self._empty()
        self._backup("first", "postgres")
        self._backup("first", "redis")

    def _backup(self, kind: str, what: str) -> None:
        before = self._repository_bytes()
        cost, _ = self._cost(self._container, lambda: self._service.ask("now", what))
        self._keep(kind, what, cost, self._repository_bytes() - before)

    def _dump(self) -> None:
        for what, make in (("postgres", self._yardstick.dump), ("redis", self._yardstick.tar)):
            cost, size = self._cost(self._yardstick.container, make)
            self._keep("dump", what, cost, size)

    def _restore(self, at: str) -> None:
        """As `./pidea restore` does it, of PostgreSQL and then of Redis."""
        with lock.exclusive(self._stand.stack):
            for what in ("postgres", "redis"):
                # Redis as of then, too: by now there is a newer copy, of the cache that was emptied with PostgreSQL.
                prepare = functools.partial(restoring.prepare, self._service, what, at, None, console.say)
                first, prepared = self._cost(
                    self._container, functools.partial(prepare, other_stack=False, newer_schema=False)
                )
                place = functools.partial(self._put_in_place, what, prepared)
                second, _ = self._cost(self._container, place)
                size = int(prepared["bytes"])
                self._keep("prepare", what, first, size)
                self._keep("restore", what, first + second, size)

    def _put_in_place(self, what: str, prepared: Mapping[str, Any]) -> None:
        restoring.replace(self._service, what, prepared, console.say)
        restoring.new_base(self._service, what, console.say)

    def _read_back(self, there: int) -> None:
        self._yardstick.make_empty()
        for what, load in (("postgres", self._yardstick.load), ("redis", self._yardstick.untar)):
            cost, _ = self._cost(self._yardstick.container, load)
            self._keep("read back", what, cost)
        self._refuse_fewer(self._yardstick.messages(), there, "The dump")

    def _refuse_fewer(self, came_back: int, there: int, what: str) -> None:
        if came_back != there:
            raise DeployError(f"{what} brought {came_back} of {there} messages back; nothing that was measured counts.")

    def _repository_bytes(self) -> int:
        return int(self._stand.run_in(self._container, ["du", "-sb", "/data/repository"]).split()[0])

    def _cost(self, container: str, action: Callable[[], _Made]) -> tuple[Cost, _Made]:
        cpu, begun = self._stand.cpu_seconds(container), time.monotonic()
        made = action()
        seconds = time.monotonic() - begun
        return Cost(seconds=seconds, cpu_seconds=self._stand.cpu_seconds(container) - cpu), made

    def _keep(self, kind: str, what: str, cost: Cost, size_bytes: int | None = None) -> None:
        self.costs.setdefault(f"{kind} {what}", []).append(dataclasses.replace(cost, size_bytes=size_bytes))
        console.say(f"  {kind} {what}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of processor time")


def _now() -> str:
    """Surely after what was written, by the clock of the machine that the servers are on too."""
    time.sleep(1)
    return datetime.datetime.now(datetime.UTC).isoformat()
