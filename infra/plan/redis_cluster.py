"""Redis as a cluster: a primary and replicas, each on a node of its own, and the sentinels that choose between them."""

from __future__ import annotations

from types import MappingProxyType

from infra import names
from infra.plan import sentinel
from infra.plan.redis_exporter import exporter
from infra.plan.redis_members import DNS_OPTIONS, environment, secret_mounts, servers
from infra.plan.shared import on_slot, replace_in_place, user
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    ConfigSpec,
    HealthcheckSpec,
    ResourceSpec,
    SecretForm,
    SecretRef,
    ServiceSpec,
    SubsystemSpec,
    TmpfsMount,
    VolumeMount,
    VolumeSpec,
)

_CONFIG = "redis-conf"
# A replica reports once a second. A primary that nobody reports to stops taking writes within three seconds, before the
# sentinels have chosen another; with 2 it went on for up to 3.9 s, a part of them beside the new one.
_MAX_LAG_SECONDS = 1
# Waiting for the sentinels' word, loading the file, following the primary.
_START_PERIOD_SECONDS = 30


def plan(settings: StackSettings) -> SubsystemSpec:
    """Servers, sentinels, an exporter for each node, and the users' passwords."""
    app, exporter_, admin, replication, sentinel_, controller, backup = (
        names.REDIS_APP_PASSWORD,
        names.REDIS_EXPORTER_PASSWORD,
        names.REDIS_ADMIN_PASSWORD,
        names.REDIS_REPLICATION_PASSWORD,
        names.REDIS_SENTINEL_PASSWORD,
        names.REDIS_CONTROLLER_PASSWORD,
        names.REDIS_BACKUP_PASSWORD,
    )
    members = servers(settings)
    return SubsystemSpec(
        name=names.REDIS,
        volumes=(
            VolumeSpec(name=names.REDIS_DATA, backup="a copy as a replica gets it (redis-cli --rdb)"),
            VolumeSpec(name=names.SENTINEL_DATA, no_backup="sentinels find out anew what they know"),
        ),
        secrets=(
            *(SecretRef(name=name) for name in (app, exporter_, admin, replication, sentinel_, controller, backup)),
            SecretRef(
                name=names.REDIS_ACL,
                form=SecretForm.REDIS_CLUSTER_ACL,
                sources=(app, exporter_, admin, backup, replication, sentinel_, controller),
            ),
            SecretRef(
                name=names.SENTINEL_ACL,
                form=SecretForm.SENTINEL_ACL,
                sources=(app, exporter_, admin, sentinel_, controller),
            ),
            SecretRef(
                name=names.REDIS_EXPORTER_PASSWORDS,
                form=SecretForm.REDIS_CLUSTER_EXPORTER_PASSWORDS,
                sources=(exporter_,),
            ),
        ),
        configs=(_config(settings), sentinel.config(settings)),
        services=(
            *sentinel.services(settings),
            *(_server(settings, name, slot) for slot, name in enumerate(members, start=1)),
            *(
                exporter(settings, name=names.member(names.REDIS_EXPORTER, slot), server=name, placement=on_slot(slot))
                for slot, name in enumerate(members, start=1)
            ),
        ),
    )


def _config(settings: StackSettings) -> ConfigSpec:
    return config_from_template(
        _CONFIG,
        "redis-cluster.conf.j2",
        max_memory_mib=settings.redis.max_memory_mib,
        acl_file=names.secret_path(names.REDIS_ACL),
        max_lag_seconds=_MAX_LAG_SECONDS,
    )


def _server(settings: StackSettings, name: str, slot: int) -> ServiceSpec:
    healthcheck = HealthcheckSpec(
        command=("CMD", "redis-member-health"),
        timeout_seconds=10,
        start_period_seconds=_START_PERIOD_SECONDS,
    )
    return ServiceSpec(
        name=name,
        image=names.REDIS,
        user=user(names.REDIS_UID),
        command=("redis-member",),
        placement=on_slot(slot),
        networks=(names.DATA,),
        dns_options=DNS_OPTIONS,
        env=MappingProxyType(
            {**environment(settings, name), "START_PERIOD_SECONDS": str(healthcheck.start_period_seconds)}
        ),
        configs=(ConfigMount(config=_CONFIG, target="/etc/pidea/redis.conf"),),
        secrets=secret_mounts(
            names.REDIS_ACL,
            names.REDIS_EXPORTER_PASSWORD,
            names.REDIS_REPLICATION_PASSWORD,
            names.REDIS_ADMIN_PASSWORD,
        ),
        volumes=(VolumeMount(volume=names.REDIS_DATA, target="/data"),),
        # The configuration as it is used, with the password to the primary in it: in memory alone.
        tmpfs=(TmpfsMount(target="/run/pidea", size_bytes=MIB),),
        resources=ResourceSpec(
            cpu_limit=1.0,
            # As for a server alone, and the replicas' buffers.
            memory_limit_bytes=(settings.redis.max_memory_mib * 3 // 2 + 128) * MIB,
            memory_reservation_bytes=settings.redis.max_memory_mib * MIB,
        ),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        stop_grace_period_seconds=15,
    )
