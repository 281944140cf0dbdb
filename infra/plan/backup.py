"""Backups: one service that follows PostgreSQL's WAL, copies the rest by schedule, and drills what it stored.

It reaches the servers over the network by their own protocols and mounts no volume but its own: a copy is consistent by
the tool that makes it, nothing is stopped for it, and nobody who breaks into it can change what it copies.
"""

from __future__ import annotations

from types import MappingProxyType

from infra import names
from infra.backups import Repository, S3Repository
from infra.plan.shared import http_check, on_slot, replace_in_place, user
from infra.plan.targets import members
from infra.render import config_from_text
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    PlacementSpec,
    ResourceSpec,
    SecretForm,
    SecretMount,
    SecretRef,
    ServiceSpec,
    SubsystemSpec,
    TmpfsMount,
    VolumeMount,
    VolumeSpec,
)

_COVERED = (names.POSTGRES_DATA, names.REDIS_DATA, names.ALERTMANAGER_DATA)
_FOLDER = "/data/repository"
_REPOSITORY_TRUST, _OFFSITE_TRUST = "backup-repository-trust", "backup-offsite-trust"


def plan(settings: StackSettings) -> SubsystemSpec:
    """One service with a volume of its own, and the repository's password."""
    return SubsystemSpec(
        name=names.BACKUP,
        volumes=(
            VolumeSpec(name=names.BACKUP_DATA, no_backup="these are the backups; a copy elsewhere is the operator's"),
        ),
        secrets=(
            SecretRef(name=names.BACKUP_REPOSITORY_PASSWORD),
            *(SecretRef(name=name, form=SecretForm.SERVER_LOGIN) for name in settings.backup.secrets),
        ),
        configs=tuple(config_from_text(name, server.trust) for name, server in _trusted(settings)),
        services=(_service(settings),),
    )


def _trusted(settings: StackSettings) -> list[tuple[str, Repository]]:
    """The servers that are known by something of their own, by the config that says by what."""
    servers = ((_REPOSITORY_TRUST, settings.backup.repository), (_OFFSITE_TRUST, settings.backup.offsite))
    return [(name, server) for name, server in servers if server is not None and server.trust]


def _service(settings: StackSettings) -> ServiceSpec:
    healthcheck = http_check(settings, names.BACKUP, names.BACKUP_PORT, "/healthz", 30)
    return ServiceSpec(
        name=names.BACKUP,
        image=names.BACKUP,
        user=user(names.BACKUP_UID),
        # The last node: where a cluster is new, its primaries are on the first.
        placement=on_slot(settings.nodes) if settings.nodes > 1 else PlacementSpec(),
        networks=(names.DATA, names.TELEMETRY, *((names.EGRESS,) if settings.backup.secrets else ())),
        env=MappingProxyType(_environment(settings)),
        secrets=tuple(
            SecretMount(secret=name, target=name, uid=names.BACKUP_UID)
            for name in (
                names.BACKUP_REPOSITORY_PASSWORD,
                names.POSTGRES_BACKUP_PASSWORD,
                names.REDIS_BACKUP_PASSWORD,
                *settings.backup.secrets,
            )
        ),
        configs=tuple(ConfigMount(config=name, target=_trust_path(name)) for name, _ in _trusted(settings)),
        volumes=(VolumeMount(volume=names.BACKUP_DATA, target="/data"),),
        tmpfs=(
            # A password in the form that PostgreSQL's programs read: in memory alone.
            TmpfsMount(target="/run/pidea", size_bytes=MIB),
            TmpfsMount(target="/tmp", size_bytes=64 * MIB),  # noqa: S108 - in the container, in memory
        ),
        resources=ResourceSpec(
            cpu_limit=1.0,
            # A drill runs servers of its own in here: PostgreSQL, then Redis with all that it holds.
            memory_limit_bytes=(768 + settings.redis.max_memory_mib) * MIB,
            memory_reservation_bytes=128 * MIB,
        ),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        stop_grace_period_seconds=30,
    )


def _environment(settings: StackSettings) -> dict[str, str]:
    def hosts(service: str, count: int) -> list[str]:
        return [names.physical(settings.instance, name) for name in members(service, count)]

    backup = settings.backup
    return {
        "BACKUP_VOLUMES": ",".join(_COVERED),
        "INSTANCE": settings.instance,
        **_location(
            "REPOSITORY", backup.repository, names.BACKUP_REPOSITORY_LOGIN, _REPOSITORY_TRUST, otherwise=_FOLDER
        ),
        **_location("OFFSITE", backup.offsite, names.BACKUP_OFFSITE_LOGIN, _OFFSITE_TRUST),
        "REPOSITORY_PASSWORD_FILE": names.secret_path(names.BACKUP_REPOSITORY_PASSWORD),
        "POSTGRES_HOSTS": ",".join(hosts(names.POSTGRES, settings.postgres.standbys + 1)),
        "POSTGRES_PORT": str(names.POSTGRES_PORT),
        "POSTGRES_DATABASE": names.POSTGRES_DATABASE,
        "POSTGRES_USER": names.POSTGRES_BACKUP_USERNAME,
        "POSTGRES_PASSWORD_FILE": names.secret_path(names.POSTGRES_BACKUP_PASSWORD),
        "REDIS_HOSTS": ",".join(hosts(names.REDIS, settings.redis.replicas + 1)),
        "REDIS_PORT": str(names.REDIS_PORT),
        "REDIS_USER": names.REDIS_BACKUP_USERNAME,
        "REDIS_PASSWORD_FILE": names.secret_path(names.REDIS_BACKUP_PASSWORD),
        "ALERTMANAGER_URLS": ",".join(
            f"http://{host}:{names.ALERTMANAGER_PORT}/alertmanager"
            for host in hosts(names.ALERTMANAGER, settings.alertmanager.replicas)
        ),
        "SCHEDULE": backup.schedule,
        "OFFSITE_SCHEDULE": backup.offsite_schedule,
        "CHECK_SCHEDULE": backup.check_schedule,
        "DRILL_SCHEDULE": backup.drill_schedule,
        "JITTER_SECONDS": str(backup.jitter_seconds),
        "WAL_SECONDS": str(backup.wal_seconds),
        "KEEP_DAILY": str(backup.keep_daily),
        "KEEP_WEEKLY": str(backup.keep_weekly),
        "KEEP_MONTHLY": str(backup.keep_monthly),
        "UPLOAD_KIB_PER_SECOND": str(backup.upload_kib_per_second),
        "PORT": str(names.BACKUP_PORT),
    }


def _location(
    variable: str, server: Repository | None, login: str, trust: str, *, otherwise: str = ""
) -> dict[str, str]:
    if server is None:
        return {variable: otherwise} if otherwise else {}
    return {
        variable: server.location,
        f"{variable}_USERNAME": server.username,
        f"{variable}_LOGIN_FILE": names.secret_path(login),
        f"{variable}_REGION": server.region if isinstance(server, S3Repository) else "",
        f"{variable}_TRUST_FILE": _trust_path(trust) if server.trust else "",
        f"{variable}_APPEND_ONLY": str(server.append_only).lower(),
    }


def _trust_path(config: str) -> str:
    return f"/etc/pidea/{config}"
