"""What a restore into one server and one into a cluster have in common: refusals, and steps that change files."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from infra import names
from infra.plan.images import POSTGRES_MAJOR, major_of
from infra.spec import MIB, DeploymentPlan
from ops.backup import exchange as exchanging
from ops.errors import DeployError, HostError
from ops.host.endpoint import Endpoint
from ops.stack import swarm, target
from ops.stack.backups import Service
from ops.stack.volumes import Volume

Say = Callable[[str], None]
# In PostgreSQL's volume: what is in use, in the default version, and what comes. After the exchange the old files have
# the other's name.
CURRENT = f"/data/{POSTGRES_MAJOR}"
RESTORED = "/data/restored"
_SPARE_BYTES = 64 * MIB


def refuse_without_room(what: str, *, needed_bytes: int, free_bytes: int) -> None:
    """Raises HostError where what comes back does not fit beside the files in use, which stay until all is well."""
    if free_bytes < needed_bytes + _SPARE_BYTES:
        raise HostError(
            f"The restored files take {needed_bytes >> 20} MiB in the volume of {what}, beside those in use, and "
            f"{free_bytes >> 20} are free; make room."
        )


def free_bytes(volume: Volume, going: str = RESTORED) -> int:
    """What can be written to it once the folder `going`, of an earlier run for instance, has made room."""
    script = f"df --output=avail --block-size=1 /data | tail -1; du --summarize --bytes {going} 2>/dev/null | cut -f1"
    return sum(int(number) for number in volume.shell(script).split())


def volume(service: Service, name: str, uid: int, image_of: str, engine: Endpoint | None = None) -> Volume:
    """A volume of the stack, worked on with the image of one of its services; on the manager where no engine is named.

    A node that runs the service has its image: nothing has to be fetched while the stack stands still.
    """
    stack, instance = service.stack, service.plan.instance
    with swarm.client(where=target.endpoint_of(stack)) as api:
        image = swarm.services(api, instance)[names.physical(instance, image_of)].image
    return Volume(engine=engine or target.endpoint_of(stack), instance=instance, name=name, uid=uid, image=image)


def ship(service: Service, what: str, data: Volume, folder: str) -> None:
    """Copies what was prepared to a folder of the volume. Raises DeployError."""
    with service.start("send", what) as process:
        # What an earlier, interrupted run has left is worth nothing.
        data.shell(
            f"rm -rf {folder}; mkdir -m 0700 {folder}; tar --extract --directory={folder}; sync",
            stdin=process.stdout,
        )
    if process.returncode:
        raise DeployError(f"The backup service did not send all of {what}; run the restore again.")


def end_history(service: Service, say: Say) -> None:
    """While PostgreSQL is down: stores its last WAL, and lets nothing follow it."""
    say("storing the last WAL: the way back to this moment")
    service.ask("push", "--until", datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"), say=say)
    # The restored server goes on from an earlier place, in another history. Its WAL must not continue what was just
    # stored, or that would lead to the restored rows instead of back to those that are taken away.
    service.ask("begin-anew")


def exchange(data: Volume, first: str, second: str) -> None:
    """Two folders of the volume change places in one step."""
    # As text: not every image that has the volume on its node has our modules.
    data.run("/usr/bin/python3.11", "-c", Path(exchanging.__file__).read_text(), first, second)


def current(plan: DeploymentPlan) -> str:
    """Where in PostgreSQL's volume the files in use are."""
    return f"/data/{major_of(plan, names.POSTGRES) or POSTGRES_MAJOR}"


def exchange_postgres(data: Volume, folder: str = CURRENT) -> None:
    """What came is in use, and what was in use is where it lay."""
    # A volume that is empty, as on a new machine, has nothing to change places with.
    data.shell(f"[ -e {folder} ] || mkdir -m 0700 {folder}")
    exchange(data, folder, RESTORED)


def require_rows(service: Service, prepared: Mapping[str, Any]) -> None:
    """Raises DeployError where a table has fewer rows than were restored."""
    rows = service.ask("contents")["rows"]
    fewer = [
        f"{table}: {count} rows restored, {rows.get(table)} there"
        for table, count in prepared["rows"].items()
        if rows.get(table, -1) < count
    ]
    if fewer:
        raise DeployError("\n".join([f"The restored rows are not there; the old files are in {RESTORED}:", *fewer]))


def new_base(service: Service, say: Say) -> None:
    """Has one made, unless the service was faster."""
    say("a new base: the next restore starts from here")
    service.ask("finish", names.POSTGRES, say=say)


def empty(volume: Volume) -> None:
    """Removes all that is in it."""
    volume.shell("find /data -mindepth 1 -delete")
