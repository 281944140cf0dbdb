"""A restore beside the stack: one throw-away server with what there was, for a look before anything is replaced.

It runs where the backup service does, from its image, as its user and within its memory, for the service has run this
very server to prepare it. Nobody reaches it but by `docker exec`: it has no network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import docker

from infra import names
from infra.plan.shared import user
from infra.spec import MIB
from ops.errors import DeployError, HostError, UsageError
from ops.host.endpoint import Endpoint
from ops.stack import copies, swarm
from ops.stack.backups import Service
from ops.stack.volumes import Volume

Say = Callable[[str], None]
_FILES = "/data/files"
_SPARE_BYTES = 64 * MIB
_START_SECONDS = 600.0
_POLL_SECONDS = 0.3
# The files that came back may have a configuration of a cluster's member in them: this one counts.
_POSTGRES_CONF = """\
listen_addresses = ''
unix_socket_directories = '/tmp'
hba_file = '/data/pg_hba.conf'
shared_buffers = 64MB
dynamic_shared_memory_type = mmap
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
# Whoever may run a program in the container may read its files anyhow.
_POSTGRES_HBA = "local all all trust\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Server:
    """How to run one on the restored files, to ask it whether it is ready, and for a person to look into it."""

    command: Sequence[str]
    ready: Sequence[str]
    look: Sequence[str]
    environment: Sequence[str] = ()
    settings: Sequence[tuple[str, str]] = ()


_SERVERS = {
    names.POSTGRES: _Server(
        command=("postgres", "-D", _FILES, "-c", "config_file=/data/postgresql.conf"),
        ready=("psql", "--quiet", "--command=SELECT 1"),
        look=("psql",),
        environment=("PGHOST=/tmp", "PGUSER=postgres", f"PGDATABASE={names.POSTGRES_DATABASE}"),
        settings=(("/data/postgresql.conf", _POSTGRES_CONF), ("/data/pg_hba.conf", _POSTGRES_HBA)),
    ),
    names.REDIS: _Server(
        command=(
            *("redis-server", "--port", "0", "--unixsocket", "/tmp/redis.sock"),  # noqa: S108 - in the container
            *("--dir", _FILES, "--appendonly", "yes", "--save", ""),
        ),
        ready=("redis-cli", "-s", "/tmp/redis.sock", "-e", "DBSIZE"),  # noqa: S108
        look=("redis-cli", "-s", "/tmp/redis.sock"),  # noqa: S108
    ),
}


def bring(
    service: Service, name: str, what: str, at: str | None, snapshot: str | None, say: Say, *, other_stack: bool
) -> dict[str, Any]:
    """Brings a server up under `name`; gives `at`, `rows` or `keys`, and the commands to look into it and to remove it.

    Nothing is left of one that did not come up. Raises UsageError for a name that is taken or cannot be one, and for
    what there is no backup of, HostError where there is no room, DeployError.
    """
    copies.refuse_taken(service.stack, service.plan.instance, name)
    if what == names.POSTGRES and not snapshot:
        # So that the newest moment is this one; where PostgreSQL is gone there is what there was.
        with contextlib.suppress(DeployError):
            service.ask("push")
    options = [
        *(["--at", at] if at else []),
        *(["--snapshot", snapshot] if snapshot else []),
        *(["--other-stack"] if other_stack else []),
    ]
    prepared = service.ask("prepare", what, *options, say=say)
    try:
        engine, container = _started(service, name, what, int(prepared["bytes"]), say)
    finally:
        service.ask("discard", what)
    # The engine of another machine, where it is one.
    where = [] if engine.is_default else [f"{key}={value}" for key, value in engine.environment.items()]
    return {
        "server": what,
        "at": prepared["at"],
        "container": container,
        **{key: prepared[key] for key in ("rows", "keys") if key in prepared},
        "look": shlex.join([*where, "docker", "exec", "-it", container, *_SERVERS[what].look]),
        "remove": f"./pidea restore {service.stack.arguments} --into {name} --remove",
    }


def _started(service: Service, name: str, what: str, size_bytes: int, say: Say) -> tuple[Endpoint, str]:
    engine, backup = service.container()
    with contextlib.closing(engine.client(timeout_seconds=60.0)) as api:
        image = str(api.inspect_container(backup)["Image"])
        volume = Volume(
            engine=engine,
            instance=service.plan.instance,
            name=copies.logical(name),
            uid=names.BACKUP_UID,
            image=image,
        )
        with _gone_unless_up(service, name):
            container = _create(api, service, name, what, image)
            free = int(volume.shell("df --output=avail --block-size=1 /data | tail -1"))
            if free < size_bytes + _SPARE_BYTES:
                raise HostError(
                    f"The copy takes {size_bytes >> 20} MiB beside the backups, and {free >> 20} are free; make room."
                )
            say("copying the restored files")
            _ship(service, what, volume)
            say(f"starting {what}")
            api.start(container)
            _wait_until_ready(api, container, _SERVERS[what])
    return engine, container


def _create(api: docker.APIClient, service: Service, name: str, what: str, image: str) -> str:
    """The container, not started. With it the volume gets the owner that the image gives the folder."""
    instance, server = service.plan.instance, _SERVERS[what]
    called = names.physical(instance, copies.logical(name))
    labels = {swarm.INSTANCE_LABEL: instance, copies.LABEL: name}
    (spec,) = [found for found in service.plan.services if found.name == names.BACKUP]
    api.create_volume(called, labels=labels)
    api.create_container(
        image,
        list(server.command),
        name=called,
        labels=labels,
        user=user(names.BACKUP_UID),
        environment=list(server.environment),
        host_config=api.create_host_config(
            binds=[f"{called}:/data"],
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": "size=64m"},  # noqa: S108 - in the container, in memory
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit=spec.resources.memory_limit_bytes,
            memswap_limit=spec.resources.memory_limit_bytes,
            nano_cpus=int(spec.resources.cpu_limit * 1e9),
            pids_limit=256,
        ),
    )
    return called


def _ship(service: Service, what: str, volume: Volume) -> None:
    files = "".join(f"printf %s {shlex.quote(content)} > {path}; " for path, content in _SERVERS[what].settings)
    with service.start("send", what) as process:
        volume.shell(f"{files}mkdir -m 0700 {_FILES}; tar --extract --directory={_FILES}; sync", stdin=process.stdout)
    if process.returncode:
        raise DeployError(f"The backup service did not send all of {what}; run the command again.")


def _wait_until_ready(api: docker.APIClient, container: str, server: _Server) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and api.inspect_container(container)["State"]["Running"]:
        made = api.exec_create(container, list(server.ready))
        api.exec_start(made["Id"])
        if api.exec_inspect(made["Id"])["ExitCode"] == 0:
            return
        time.sleep(_POLL_SECONDS)
    said = api.logs(container, tail=3).decode(errors="replace").strip()
    raise DeployError(f"The server did not start on the restored files: {said}")


@contextlib.contextmanager
def _gone_unless_up(service: Service, name: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(UsageError):  # there is nothing of it yet
            copies.remove(service.stack, service.plan.instance, name)
        raise
