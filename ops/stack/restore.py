"""A restore: everything is made ready beside what runs, the old and the new change places in one step.

PostgreSQL comes back as it was at a moment, by a server in the backup service that replayed the WAL until then.
Only then is anything stopped: the application, whose caches know what the restored rows do not, Redis, the server.
What a run was interrupted at, the next one does again; the old files stay until all is well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra import names
from ops.cluster import postgres
from ops.cluster.clusters import StackClusters
from ops.errors import DeployError, UsageError
from ops.stack import door, engines, health, restore_cluster, scale, swarm, target
from ops.stack import restore_steps as steps
from ops.stack import silences as stack_silences
from ops.stack.backups import Service
from ops.stack.restore_steps import Say
from ops.stack.volumes import Volume

# Of the plan, what each restore stops, in this order, and starts in the other.
_CACHES = (names.APP, names.REDIS)
_DATA = {
    names.POSTGRES: (names.POSTGRES_DATA, names.POSTGRES_UID),
    names.REDIS: (names.REDIS_DATA, names.REDIS_UID),
}


def refuse_what_needs_none(service: Service, what: str) -> None:
    """Raises UsageError for a cluster of Redis."""
    if what == names.REDIS and what not in {found.name for found in service.plan.services}:
        raise UsageError(
            f"Redis of {service.stack.name} is a cluster, which needs no restore: it is a cache, has each key on every "
            "server, and fills itself from PostgreSQL."
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
    options = _options(at, snapshot, other_stack=other_stack)
    refuse_what_needs_none(service, what)
    in_cluster = _is_cluster(service, what)
    if in_cluster:
        restore_cluster.refuse_where_not_possible(service)
    if what == names.POSTGRES:
        if not snapshot:
            _push(service, say)
        planned = service.ask("plan", what, *options)
        say(f"from base {planned['base']} to {planned['at']}, {planned['lost_seconds']:.0f} s ago")
    prepared = service.ask("prepare", what, *options, say=say)
    refuse_newer(prepared, is_meant=newer_schema)
    needed = int(prepared["bytes"])
    if in_cluster:
        restore_cluster.refuse_without_room(service, needed_bytes=needed)
    else:
        steps.refuse_without_room(what, needed_bytes=needed, free_bytes=steps.free_bytes(_volume(service, what)))
    return prepared


def refuse_newer(prepared: Mapping[str, Any], *, is_meant: bool) -> None:
    """Raises UsageError where the running release does not know the schema that would come back."""
    there, here = prepared.get("schema"), prepared.get("schema_now")
    if there is not None and here is not None and there > here and not is_meant:
        raise UsageError(
            f"What would be restored has schema {there}, and the release that runs knows {here}: deploy the newer "
            "release first, or add --newer-schema to restore it all the same."
        )


def silences(service: Service, at: str | None, snapshot: str | None, *, other_stack: bool) -> dict[str, Any]:
    """Brings back the silences of a copy that still hold and are not there. `missing` says how many those were."""
    kept = service.ask("prepare", names.ALERTMANAGER, *_options(at, snapshot, other_stack=other_stack))
    missing = stack_silences.bring_back(door.of(service.stack), kept["silences"])
    service.ask("finish", names.ALERTMANAGER)
    return {"at": kept["at"], "snapshot": kept["snapshot"], "missing": missing}


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
    if _is_cluster(service, what):
        restore_cluster.replace(service, prepared, say)
    elif what == names.POSTGRES:
        _replace_postgres(service, prepared, say)
    else:
        _replace_redis(service, say)
    found = problems(service)
    if found:
        raise DeployError("\n".join(["The data is restored, but not all is well:", *found]))


def new_base(service: Service, what: str, say: Say) -> None:
    """Has PostgreSQL backed up anew, which users do not wait for. Not done, the backup service does it by itself."""
    if what == names.POSTGRES:
        steps.new_base(service, say)


def problems(service: Service) -> list[str]:
    """What of the stack is not well, a line for each service."""
    with swarm.client(where=target.endpoint_of(service.stack)) as api, engines.of(service.stack, api) as engine_of:
        found = health.of(engine_of, swarm.services(api, service.plan.instance))
    missing = {names.physical(service.plan.instance, s.name) for s in service.plan.services} - {s.name for s in found}
    return [
        *(f"{name} is missing" for name in sorted(missing)),
        *(f"{one.name}: {one.problem or 'not all of its tasks run'}" for one in found if not one.is_well),
        *StackClusters(service.stack, service.plan).problems(),
    ]


def _is_cluster(service: Service, what: str) -> bool:
    return what == names.POSTGRES and bool(postgres.servers(service.plan))


def _replace_postgres(service: Service, prepared: Mapping[str, Any], say: Say) -> None:
    stack, plan, data = service.stack, service.plan, _volume(service, names.POSTGRES)
    say("copying the restored files beside the ones in use")
    steps.ship(service, names.POSTGRES, data, steps.RESTORED)
    for name in (*_CACHES, names.POSTGRES):
        say(f"stopping {name}")
        scale.stop(stack, plan, name)
    steps.end_history(service, say)
    steps.exchange_postgres(data, steps.current(plan))
    for name, uid in ((names.REDIS_DATA, names.REDIS_UID), (names.APP_CACHE, names.APP_UID)):
        steps.empty(steps.volume(service, name, uid, names.BACKUP))
    for name in (names.POSTGRES, *reversed(_CACHES)):
        say(f"starting {name}")
        scale.start(stack, plan, name)
    steps.require_rows(service, prepared)
    data.shell(f"rm -rf {steps.RESTORED}")


def _replace_redis(service: Service, say: Say) -> None:
    data, folder = _volume(service, names.REDIS), "/data/restored"
    steps.ship(service, names.REDIS, data, folder)
    say("stopping redis")
    scale.stop(service.stack, service.plan, names.REDIS)
    data.shell("[ -e /data/appendonlydir ] || mkdir /data/appendonlydir")
    steps.exchange(data, "/data/appendonlydir", f"{folder}/appendonlydir")
    say("starting redis")
    scale.start(service.stack, service.plan, names.REDIS)
    service.ask("finish", names.REDIS)
    data.shell(f"rm -rf {folder}")


def _options(at: str | None, snapshot: str | None, *, other_stack: bool) -> list[str]:
    return [
        *(["--at", at] if at else []),
        *(["--snapshot", snapshot] if snapshot else []),
        *(["--other-stack"] if other_stack else []),
    ]


def _push(service: Service, say: Say) -> None:
    # So that the newest moment is this one. Where PostgreSQL is gone there is what there was.
    try:
        service.ask("push")
    except DeployError as error:
        say(f"WAL of the last seconds cannot be had: {error}")


def _volume(service: Service, what: str) -> Volume:
    return steps.volume(service, *_DATA[what], names.BACKUP)
