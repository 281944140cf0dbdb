"""The PIDEA backend."""

from __future__ import annotations

import dataclasses
import json
import math
from types import MappingProxyType

from infra import names
from infra.plan import jaeger
from infra.plan.redis_members import sentinels
from infra.plan.shared import http_check, replace_beside, user
from infra.plan.targets import members
from infra.settings import StackSettings
from infra.spec import (
    MIB,
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

# After the drain the application may take this long to finish what is in flight.
_FINISH_SECONDS = 15
_CACHE_FOLDER = "/var/lib/pidea/cache"


def plan(settings: StackSettings) -> SubsystemSpec:
    """Identical replicas; each waits at its start for PostgreSQL and brings the schema up to date."""

    def host(service: str) -> str:
        return names.physical(settings.instance, service)

    healthcheck = http_check(settings, names.APP, names.APP_PORT, "/api/health/live", 30)
    env = {
        "PORT": str(names.APP_PORT),
        "ENVIRONMENT": settings.environment,
        "LOG_LEVEL": settings.app.log_level,
        "DRAIN_SECONDS": str(settings.app.drain_seconds),
        "DATABASE_HOST": ",".join(host(name) for name in members(names.POSTGRES, settings.postgres.standbys + 1)),
        "DATABASE_PORT": str(names.POSTGRES_PORT),
        "DATABASE_NAME": names.POSTGRES_DATABASE,
        "DATABASE_USER": names.POSTGRES_APP_USERNAME,
        "DATABASE_PASSWORD_FILE": names.secret_path(names.POSTGRES_APP_PASSWORD),
        **_redis(settings),
        "REDIS_USERNAME": names.REDIS_APP_USERNAME,
        "REDIS_PASSWORD_FILE": names.secret_path(names.REDIS_APP_PASSWORD),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host(jaeger.traces_to(settings))}:{names.JAEGER_OTLP_HTTP_PORT}",
        "TRACE_SAMPLING_RATIO": str(settings.tracing.sampling_ratio),
        "TRACE_MAX_PER_SECOND": str(settings.tracing.max_per_second),
        "PROMETHEUS_URL": ",".join(
            f"http://{host(name)}:{names.PROMETHEUS_PORT}/prometheus"
            for name in members(names.PROMETHEUS, settings.prometheus.replicas)
        ),
        "JAEGER_HEALTH_URL": f"http://{host(names.JAEGER)}:{names.JAEGER_HEALTH_PORT}/status",
    }
    env |= {
        "API_CLIENTS_FILE": names.secret_path(names.API_CLIENTS),
        "L3_FOLDER": _CACHE_FOLDER,
        "WORKERS": str(settings.app.workers),
        "MAX_REQUESTS_IN_FLIGHT": str(settings.app.max_requests_in_flight),
        "RATE_LIMIT_PER_SECOND": f"{settings.app.rate_limit_per_second:g}",
        "TELEMETRY_ENABLED": str(settings.app.telemetry_enabled).lower(),
    }
    if settings.postgres.standbys:
        # Another server takes over within seconds; a minute without asking would be the longer part of the outage.
        env["DATABASE_BREAKER_OPEN_SECONDS"] = "2"
        env["DATABASE_USER"] = names.of_generation(names.POSTGRES_APP_USERNAME, settings.secrets_version)
    if settings.app.cors_allowed_origins:
        env["CORS_ALLOWED_ORIGINS"] = ",".join(settings.app.cors_allowed_origins)
    if settings.app.experiment is not None:
        env["EXPERIMENT"] = json.dumps(settings.app.experiment.model_dump(mode="json"), separators=(",", ":"))
    files = (names.POSTGRES_APP_PASSWORD, names.REDIS_APP_PASSWORD, names.API_CLIENTS)
    service = ServiceSpec(
        name=names.APP,
        image=names.APP,
        user=user(names.APP_UID),
        replicas=settings.app.replicas,
        placement=PlacementSpec(max_replicas_per_node=_most_on_a_node(settings)),
        networks=(names.WEB, names.DATA, names.TELEMETRY),
        env=MappingProxyType(env),
        secrets=tuple(SecretMount(secret=name, target=name, uid=names.APP_UID) for name in files),
        # The last resort for reads. SQLite lets the replicas of a node share it, and both releases during an update.
        volumes=(VolumeMount(volume=names.APP_CACHE, target=_CACHE_FOLDER),),
        tmpfs=(TmpfsMount(target="/tmp", size_bytes=16 * MIB),),  # noqa: S108 - in the container, in memory
        resources=ResourceSpec(cpu_limit=1.0, memory_limit_bytes=256 * MIB, memory_reservation_bytes=96 * MIB),
        healthcheck=healthcheck,
        update=dataclasses.replace(replace_beside(healthcheck), delay_seconds=settings.app.canary_seconds),
        stop_grace_period_seconds=settings.app.drain_seconds + _FINISH_SECONDS,
        converge_timeout_seconds=300 + settings.app.replicas * settings.app.canary_seconds,
    )
    return SubsystemSpec(
        name=names.APP,
        services=(service,),
        volumes=(VolumeSpec(name=names.APP_CACHE, no_backup="a cache that fills itself from PostgreSQL"),),
        secrets=(
            SecretRef(name=names.API_TOKEN),
            SecretRef(name=names.API_CLIENTS, form=SecretForm.API_CLIENTS, sources=(names.API_TOKEN,)),
        ),
    )


def _redis(settings: StackSettings) -> dict[str, str]:
    """Where Redis is: at an address, or where the sentinels say."""
    if not settings.redis.replicas:
        return {"REDIS_HOST": names.physical(settings.instance, names.REDIS), "REDIS_PORT": str(names.REDIS_PORT)}
    addresses = (f"{names.physical(settings.instance, name)}:{names.SENTINEL_PORT}" for name in sentinels(settings))
    return {
        "REDIS_SENTINELS": ",".join(addresses),
        "REDIS_SENTINEL_SERVICE": names.REDIS_PRIMARY,
        "REDIS_SENTINEL_USERNAME": names.REDIS_APP_USERNAME,
        "REDIS_SENTINEL_PASSWORD_FILE": names.secret_path(names.REDIS_APP_PASSWORD),
    }


def _most_on_a_node(settings: StackSettings) -> int:
    """So few that no node has all of them, and one more than their share: an update starts the new ones first."""
    if settings.nodes == 1:
        return 0
    return math.ceil(settings.app.replicas / settings.nodes) + 1
