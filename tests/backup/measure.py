"""Kills PostgreSQL while it is written to, as often as asked, and writes down what the backups have of it then.

`python -m tests.backup.measure [--rounds 20] [--write docs/measured/backup-rpo.md]`
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import random
import time
from pathlib import Path

from infra import names
from tests.backup.stand import Service, Stand
from tests.patroni.writer import Writers
from tests.stack.plain import docker
from tests.stack.waiting import wait_until

RPO_SECONDS = 60.0
_WRITES_SECONDS = (4.0, 14.0)


@dataclasses.dataclass(frozen=True)
class Round:
    """One kill. Of the `acknowledged` rows the repository had all until `gap_seconds` before it; `gap_rows` came after.

    `lost_archived` rows were acknowledged before that time and did not come back from the repository: must be none.
    `receiver_lacks` rows had not even reached the receiver's disk when the server died.
    """

    acknowledged: int
    gap_seconds: float
    gap_rows: int
    lost_archived: int
    receiver_lacks: int


class Addressed(Writers):
    """Writers that a single server knows by the role of its own."""

    def __init__(self, stand: Stand) -> None:
        super().__init__(lambda: [stand.address(names.POSTGRES)], stand.passwords[names.POSTGRES_APP_PASSWORD])
        self.user = names.POSTGRES_APP_USERNAME


def kill_once(stand: Stand, service: Service, chance: random.Random) -> Round:
    """Writes for a while, kills the server, restores what the repository has, and starts the server again."""
    # What the writers say is by their steady clock, what the repository says by the server's, which is the machine's.
    offset = time.time() - time.monotonic()
    with Addressed(stand) as writers:
        time.sleep(chance.uniform(*_WRITES_SECONDS))
        docker("kill", "--signal=KILL", stand.container(names.POSTGRES))
        killed = time.time()
        acknowledged = {number: at + offset for number, at in writers.acknowledged if at + offset <= killed}
    reach = service.do("list")["ranges"][-1]
    archived = datetime.datetime.fromisoformat(reach["last"]).timestamp()
    there = restored(service, reach["last"])
    service.do("push", "--until", datetime.datetime.fromtimestamp(killed, datetime.UTC).isoformat())
    received = restored(service, None)
    stand.replace(names.POSTGRES)
    wait_until(lambda: service.ask("push").code == 0, "the receiver follows again", timeout_seconds=60)
    return Round(
        acknowledged=len(acknowledged),
        gap_seconds=max(0.0, killed - archived),
        gap_rows=sum(at > archived for at in acknowledged.values()),
        lost_archived=len({number for number, at in acknowledged.items() if at <= archived} - there),
        receiver_lacks=len(set(acknowledged) - received),
    )


def restored(service: Service, at: str | None) -> set[int]:
    """The numbers of the rows that come back; the server that has them is the backup service's own."""
    script = json.dumps(["--at", at] if at else [])
    return {int(line) for line in service.run("/usr/bin/python3.11", "-c", _ROWS, script).split()}


# As `prepare` does, but asks for the rows themselves.
_ROWS = """
import json, os, shutil, sys
from ops.backup import catalog, process, recovery
from ops.backup.jobs import Jobs
from ops.backup.settings import Settings
jobs = Jobs(Settings.from_environment(os.environ), wait_seconds=60)
given = json.loads(sys.argv[1])
moment = catalog.moment(given[1]) if given else None
reach, moment = catalog.choose(catalog.reaches(jobs.restic.snapshots()), moment)
folder = jobs.settings.scratch / "measured"
with jobs.turn(), recovery.recovered(jobs.settings, jobs.restic, reach, moment, folder) as there:
    print(process.run([*there.psql, "--command", "SELECT id FROM acknowledged"], {}))
shutil.rmtree(folder)
"""


def page(rounds: list[Round]) -> str:
    """The table."""
    lines = [
        "# What a killed PostgreSQL leaves in the backups",
        "",
        f"PostgreSQL is killed {len(rounds)} times while four clients write to it, and its disk is taken for lost: what"
        " comes back is what",
        "the repository has. WAL is pushed every 10 s (`walSeconds`); the promise is an RPO of at most"
        f" {RPO_SECONDS:.0f} s.",
        "`python -m tests.backup.measure --rounds 20 --write docs/measured/backup-rpo.md` makes this page.",
        "",
        "| kill | acknowledged rows | newest restorable moment before it (s) | rows in the gap"
        " | archived rows lost | rows the receiver lacked |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for number, one in enumerate(rounds, start=1):
        lines.append(
            f"| {number} | {one.acknowledged} | {one.gap_seconds:.1f} | {one.gap_rows} | {one.lost_archived}"
            f" | {one.receiver_lacks} |"
        )
    lines += [
        "",
        f"Longest gap {max(one.gap_seconds for one in rounds):.1f} s;"
        f" {sum(one.lost_archived for one in rounds)} archived rows lost"
        f" of {sum(one.acknowledged for one in rounds)} acknowledged.",
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Brings the stand up, kills, and takes it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    stand = Stand("pidea-measure-backup")
    try:
        stand.up()
        with stand.service() as service:
            service.do("now", "postgres")
            chance = random.Random()  # noqa: S311 - no secret
            rounds = [kill_once(stand, service, chance) for _ in range(chosen.rounds)]
    finally:
        stand.close()
    print(page(rounds))
    if chosen.write:
        chosen.write.parent.mkdir(parents=True, exist_ok=True)
        chosen.write.write_text(page(rounds))


if __name__ == "__main__":
    main()
