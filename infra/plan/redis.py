"""Redis: the cache. Append-only file every second, least recently used keys go first. One server, or a cluster."""

from __future__ import annotations

from infra import names
from infra.plan import redis_cluster
from infra.plan.redis_exporter import exporter
from infra.plan.shared import replace_in_place, user
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    HealthcheckSpec,
    PlacementSpec,
    ResourceSpec,
    SecretForm,
    SecretMount,
    SecretRef,
    ServiceSpec,
    SubsystemSpec,
    VolumeMount,
    VolumeSpec,
)

_CONFIG = "redis-conf"


def plan(settings: StackSettings) -> SubsystemSpec:
    """Server, exporter, and the users' passwords; with replicas what a cluster has."""
    if settings.redis.replicas:
        return redis_cluster.plan(settings)
    return SubsystemSpec(
        name=names.REDIS,
        volumes=(VolumeSpec(name=names.REDIS_DATA, backup="a copy as a replica gets it (redis-cli --rdb)"),),
        secrets=(
            SecretRef(name=names.REDIS_APP_PASSWORD),
            SecretRef(name=names.REDIS_EXPORTER_PASSWORD),
            SecretRef(name=names.REDIS_ADMIN_PASSWORD),
            SecretRef(name=names.REDIS_BACKUP_PASSWORD),
            SecretRef(
                name=names.REDIS_ACL,
                form=SecretForm.REDIS_ACL,
                sources=(
                    names.REDIS_APP_PASSWORD,
                    names.REDIS_EXPORTER_PASSWORD,
                    names.REDIS_ADMIN_PASSWORD,
                    names.REDIS_BACKUP_PASSWORD,
                ),
            ),
            SecretRef(
                name=names.REDIS_EXPORTER_PASSWORDS,
                form=SecretForm.REDIS_EXPORTER_PASSWORDS,
                sources=(names.REDIS_EXPORTER_PASSWORD,),
            ),
        ),
        configs=(
            config_from_template(
                _CONFIG,
                "redis.conf.j2",
                max_memory_mib=settings.redis.max_memory_mib,
                acl_file=names.secret_path(names.REDIS_ACL),
            ),
        ),
        services=(
            _server(settings),
            exporter(settings, name=names.REDIS_EXPORTER, server=names.REDIS, placement=PlacementSpec()),
        ),
    )


def _server(settings: StackSettings) -> ServiceSpec:
    password = names.secret_path(names.REDIS_EXPORTER_PASSWORD)
    healthcheck = HealthcheckSpec(
        # The password goes through the environment of this short process alone. MISCONF is what a server answers that
        # cannot write its file: it still reads, and no other one in its place could write.
        command=(
            "CMD-SHELL",
            f'case "$(REDISCLI_AUTH=$(cat {password}) redis-cli --no-auth-warning'
            f' --user {names.REDIS_EXPORTER_USERNAME} PING)" in PONG | MISCONF*) ;; *) exit 1 ;; esac',
        ),
    )
    return ServiceSpec(
        name=names.REDIS,
        image=names.REDIS,
        user=user(names.REDIS_UID),
        command=("redis-server", "/etc/pidea/redis.conf"),
        networks=(names.DATA,),
        configs=(ConfigMount(config=_CONFIG, target="/etc/pidea/redis.conf"),),
        secrets=(
            SecretMount(secret=names.REDIS_ACL, target=names.REDIS_ACL, uid=names.REDIS_UID),
            SecretMount(
                secret=names.REDIS_EXPORTER_PASSWORD,
                target=names.REDIS_EXPORTER_PASSWORD,
                uid=names.REDIS_UID,
            ),
        ),
        volumes=(VolumeMount(volume=names.REDIS_DATA, target="/data"),),
        resources=ResourceSpec(
            cpu_limit=1.0,
            # Rewriting the append-only file copies the pages that change meanwhile; buffers come on top.
            memory_limit_bytes=(settings.redis.max_memory_mib * 3 // 2 + 64) * MIB,
            memory_reservation_bytes=settings.redis.max_memory_mib * MIB,
        ),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        stop_grace_period_seconds=15,
    )
