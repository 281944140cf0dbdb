"""PostgreSQL: the system of record for chat history. One server, or members of a cluster under Patroni."""

from __future__ import annotations

from infra import names
from infra.plan import etcd, patroni, postgres_exporter
from infra.plan.shared import replace_in_place, user
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    HealthcheckSpec,
    ResourceSpec,
    SecretMount,
    SecretRef,
    ServiceSpec,
    SubsystemSpec,
    TmpfsMount,
    VolumeMount,
    VolumeSpec,
)

_CONFIG = "postgresql-conf"
_HBA = "pg-hba-conf"
_CONFIG_PATH = "/etc/pidea/postgresql.conf"
_HBA_PATH = "/etc/pidea/pg_hba.conf"
_PASSWORDS = (
    names.POSTGRES_SUPERUSER_PASSWORD,
    names.POSTGRES_APP_PASSWORD,
    names.POSTGRES_EXPORTER_PASSWORD,
    names.POSTGRES_BACKUP_PASSWORD,
)


def plan(settings: StackSettings) -> SubsystemSpec:
    """Servers, exporters, a password for each role, and what the servers need to agree on a primary."""
    is_cluster = settings.postgres.standbys > 0
    passwords = (*_PASSWORDS, *patroni.PASSWORDS) if is_cluster else _PASSWORDS
    shared = (
        config_from_template(
            _CONFIG,
            "postgresql.conf.j2",
            hba_file=_HBA_PATH,
            shared_buffers_mib=settings.postgres.shared_buffers_mib,
            max_connections=settings.postgres.max_connections,
        ),
        config_from_template(
            _HBA,
            "pg_hba.conf.j2",
            database=names.POSTGRES_DATABASE,
            app_username=names.POSTGRES_APP_USERNAME,
            exporter_username=names.POSTGRES_EXPORTER_USERNAME,
            backup_username=names.POSTGRES_BACKUP_USERNAME,
            is_cluster=is_cluster,
            standby_username=names.POSTGRES_STANDBY_USERNAME,
            rewind_username=names.POSTGRES_REWIND_USERNAME,
        ),
    )
    server = _server(settings)
    if not is_cluster:
        return SubsystemSpec(
            name=names.POSTGRES,
            volumes=(
                VolumeSpec(name=names.POSTGRES_DATA, backup="base backups and WAL (pg_basebackup, pg_receivewal)"),
            ),
            secrets=tuple(SecretRef(name=name) for name in passwords),
            configs=shared,
            services=(server, *postgres_exporter.services(settings)),
        )
    return SubsystemSpec(
        name=names.POSTGRES,
        volumes=(
            VolumeSpec(name=names.POSTGRES_DATA, backup="base backups and WAL (pg_basebackup, pg_receivewal)"),
            VolumeSpec(name=names.ETCD_DATA, no_backup="who leads is agreed anew; Patroni's settings are in the plan"),
        ),
        secrets=tuple(SecretRef(name=name) for name in passwords),
        configs=(*shared, patroni.config(settings, conf_file=_CONFIG_PATH, hba_file=_HBA_PATH)),
        services=(
            *etcd.services(settings),
            *patroni.services(settings, server),
            *postgres_exporter.services(settings),
        ),
    )


def _server(settings: StackSettings) -> ServiceSpec:
    # Over TCP, as clients come: the entrypoint's private server, which sets the roles' passwords, must not look ready.
    healthcheck = HealthcheckSpec(
        command=("CMD", "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={names.POSTGRES_PORT}"),
        start_period_seconds=60,
    )
    return ServiceSpec(
        name=names.POSTGRES,
        image=names.POSTGRES,
        user=user(names.POSTGRES_UID),
        # No version may begin with nothing beside the rows of another: none that the stack is upgraded to, nor
        # the default where its setting is gone and the volume kept.
        command=("only-if-upgraded", "entrypoint"),
        networks=(names.DATA,),
        configs=(
            ConfigMount(config=_CONFIG, target=_CONFIG_PATH),
            ConfigMount(config=_HBA, target=_HBA_PATH),
        ),
        secrets=tuple(SecretMount(secret=name, target=name, uid=names.POSTGRES_UID) for name in _PASSWORDS),
        volumes=(VolumeMount(volume=names.POSTGRES_DATA, target="/data"),),
        tmpfs=(
            TmpfsMount(target="/run/postgresql", size_bytes=MIB),
            TmpfsMount(target="/tmp", size_bytes=64 * MIB),  # noqa: S108 - in the container, in memory
        ),
        resources=ResourceSpec(
            cpu_limit=2.0,
            memory_limit_bytes=(settings.postgres.shared_buffers_mib * 4 + 512) * MIB,
            memory_reservation_bytes=(settings.postgres.shared_buffers_mib + 128) * MIB,
        ),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        # A fast shutdown writes a checkpoint; killed before it is through, the next start must recover.
        stop_signal="SIGINT",
        stop_grace_period_seconds=60,
    )
