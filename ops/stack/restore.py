"""A restore: everything is made ready beside what runs, the old and the new change places in one step.

PostgreSQL comes back as it was at a moment, by a server in the backup service that replayed the WAL until then.
Only then is anything stopped: the application, whose caches know what the restored rows do not, Redis, the server.
What a run was interrupted at, the next one does again; the old files stay until all is well.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from infra import names
from infra.plan.images import POSTGRES_MAJOR
from infra.spec import MIB
from ops.errors import DeployError, HostError, UsageError
from ops.stack import engines, health, scale, swarm, target
from ops.stack.backups import Service
from ops.stack.volumes import Volume

Say = Callable[[str], None]
# Of the plan, what each restore stops, in this order, and starts in the other.
_CACHES = (names.APP, names.REDIS)
_DATA = {
    names.POSTGRES: (names.POSTGRES_DATA, names.POSTGRES_UID),
    names.REDIS: (names.REDIS_DATA, names.REDIS_UID),
}
_SPARE_BYTES = 64 * MIB


def refuse_clusters(service: Service, what: str) -> None:
    """Raises UsageError where the data is a cluster's."""
    planned = {found.name for found in service.plan.services}
    if what not in planned:
        raise UsageError(
            f"{what.title()} of {service.stack.name} is a cluster, which this command does not restore into; "
            "see docs/runbooks/restore.md for how to get its data back."
        )


def prepare(
    service: Service,
    what: str,
    at: str | None,
    snapshot: str | None,
    say: Say,
    *,
    other_stack: bool,
    newer_schema: bool,
) -> dict[str, Any]:
    """Restores into the backup service and gives what it found; nothing of the stack is touched.

    Raises UsageError for another stack's data and for a schema that the running release does not know, unless they are
    meant, HostError where there is no room for it.
    """
    options = [
        *(["--at", at] if at else []),
        *(["--snapshot", snapshot] if snapshot else []),
        *(["--other-stack"] if other_stack else []),
    ]
    refuse_clusters(service, what)
    if what == names.POSTGRES:
        if not snapshot:
            _push(service, say)
        planned = service.ask("plan", what, *options)
        say(f"from base {planned['base']} to {planned['at']}, {planned['lost_seconds']:.0f} s ago")
    prepared = service.ask("prepare", what, *options, say=say)
    refuse_newer(prepared, is_meant=newer_schema)
    data = _volume(service, *_DATA[what], names.BACKUP)
    free = int(data.shell("df --output=avail --block-size=1 /data | tail -1"))
    refuse_without_room(what, needed_bytes=int(prepared["bytes"]), free_bytes=free)
    return prepared


def refuse_newer(prepared: Mapping[str, Any], *, is_meant: bool) -> None:
    """Raises UsageError where the running release does not know the schema that would come back."""
    there, here = prepared.get("schema"), prepared.get("schema_now")
    if there is not None and here is not None and there > here and not is_meant:
        raise UsageError(
            f"What would be restored has schema {there}, and the release that runs knows {here}: deploy the newer "
            "release first, or add --newer-schema to restore it all the same."
        )


def refuse_without_room(what: str, *, needed_bytes: int, free_bytes: int) -> None:
    """Raises HostError where what comes back does not fit beside the files in use, which stay until all is well."""
    if free_bytes < needed_bytes + _SPARE_BYTES:
        raise HostError(
            f"The restored files take {needed_bytes >> 20} MiB in the volume of {what}, beside those in use, and "
            f"{free_bytes >> 20} are free; make room."
        )


def losses(prepared: Mapping[str, Any]) -> list[str]:
    """What a restore of PostgreSQL takes away or brings back, a line for each table that differs."""
    now = prepared.get("rows_now", {})
    return [
        f"{table}: {now[table]} rows now, {rows} after"
        for table, rows in sorted(prepared.get("rows", {}).items())
        if table in now and now[table] != rows
    ]


def replace(service: Service, what: str, prepared: Mapping[str, Any], say: Say) -> None:
    """Puts what was prepared in the place of what there is. Raises DeployError; then run the restore again."""
    if what == names.POSTGRES:
        _replace_postgres(service, prepared, say)
    else:
        _replace_redis(service, say)
    found = problems(service)
    if found:
        raise DeployError("\n".join(["The data is restored, but not all is well:", *found]))


def problems(service: Service) -> list[str]:
    """What of the stack is not well, a line for each service."""
    with swarm.client(where=target.endpoint_of(service.stack)) as api, engines.of(service.stack, api) as engine_of:
        found = health.of(engine_of, swarm.services(api, service.plan.instance))
    missing = {names.physical(service.plan.instance, s.name) for s in service.plan.services} - {s.name for s in found}
    return [f"{name} is missing" for name in sorted(missing)] + [
        f"{one.name}: {one.problem or 'not all of its tasks run'}" for one in found if not one.is_well
    ]


def _replace_postgres(service: Service, prepared: Mapping[str, Any], say: Say) -> None:
    stack, plan = service.stack, service.plan
    data, new = _volume(service, *_DATA[names.POSTGRES], names.BACKUP), "/data/restored"
    say("copying the restored files beside the ones in use")
    _ship(service, names.POSTGRES, data, new)
    for name in (*_CACHES, names.POSTGRES):
        say(f"stopping {name}")
        scale.stop(stack, plan, name)
    say("storing the last WAL: the way back to this moment")
    service.ask("push", "--until", datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"), say=say)
    # The restored server goes on from an earlier place, in another history. Its WAL must not continue what was just
    # stored, or that would lead to the restored rows instead of back to those that are taken away.
    service.ask("begin-anew")
    current = f"/data/{POSTGRES_MAJOR}"
    # A volume that is empty, as on a new machine, has nothing to change places with.
    data.shell(f"[ -e {current} ] || mkdir -m 0700 {current}")
    data.run("/usr/bin/python3.11", "-m", "ops.backup.exchange", current, new)
    for volume, uid in ((names.REDIS_DATA, names.REDIS_UID), (names.APP_CACHE, names.APP_UID)):
        _volume(service, volume, uid, names.BACKUP).shell("find /data -mindepth 1 -delete")
    for name in (names.POSTGRES, *reversed(_CACHES)):
        say(f"starting {name}")
        scale.start(stack, plan, name)
    rows = service.ask("contents")["rows"]
    fewer = [
        f"{table}: {count} rows restored, {rows.get(table)} there"
        for table, count in prepared["rows"].items()
        if rows.get(table, -1) < count
    ]
    if fewer:
        raise DeployError("\n".join([f"The restored rows are not there; the old files are in {new}:", *fewer]))
    say("a new base: the next restore starts from here")
    service.ask("finish", names.POSTGRES, say=say)
    data.shell(f"rm -rf {new}")


def _replace_redis(service: Service, say: Say) -> None:
    data, folder = _volume(service, *_DATA[names.REDIS], names.BACKUP), "/data/restored"
    _ship(service, names.REDIS, data, folder)
    say("stopping redis")
    scale.stop(service.stack, service.plan, names.REDIS)
    data.shell("[ -e /data/appendonlydir ] || mkdir /data/appendonlydir")
    data.run("/usr/bin/python3.11", "-m", "ops.backup.exchange", "/data/appendonlydir", f"{folder}/appendonlydir")
    say("starting redis")
    scale.start(service.stack, service.plan, names.REDIS)
    service.ask("finish", names.REDIS)
    data.shell(f"rm -rf {folder}")


def _push(service: Service, say: Say) -> None:
    # So that the newest moment is this one. Where PostgreSQL is gone there is what there was.
    try:
        service.ask("push")
    except DeployError as error:
        say(f"WAL of the last seconds cannot be had: {error}")


def _ship(service: Service, what: str, data: Volume, folder: str) -> None:
    with service.start("send", what) as process:
        # What an earlier, interrupted run has left is worth nothing.
        data.shell(
            f"rm -rf {folder}; mkdir -m 0700 {folder}; tar --extract --directory={folder}; sync",
            stdin=process.stdout,
        )
    if process.returncode:
        raise DeployError(f"The backup service did not send all of {what}; run the restore again.")


def _volume(service: Service, name: str, uid: int, image_of: str) -> Volume:
    stack, instance = service.stack, service.plan.instance
    with swarm.client(where=target.endpoint_of(stack)) as api:
        image = swarm.services(api, instance)[names.physical(instance, image_of)].image
    return Volume(engine=target.endpoint_of(stack), instance=instance, name=name, uid=uid, image=image)
