"""Jaeger: takes traces, keeps them, and shows them."""

from __future__ import annotations

from infra import names
from infra.plan.shared import http_check, replace_in_place, user
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    ConfigSpec,
    ResourceSpec,
    ServiceSpec,
    TmpfsMount,
    VolumeMount,
)

_CONFIG = "jaeger-yaml"
_MEMORY_LIMIT_MIB = 384


def config(settings: StackSettings) -> ConfigSpec:
    """Where traces come in, how long they stay, and where they are asked for."""
    return config_from_template(
        _CONFIG,
        "jaeger.yaml.j2",
        retention_hours=settings.tracing.retention_hours,
        memory_limit_mib=_MEMORY_LIMIT_MIB * 3 // 4,
        otlp_http_port=names.JAEGER_OTLP_HTTP_PORT,
        query_port=names.JAEGER_QUERY_PORT,
        health_port=names.JAEGER_HEALTH_PORT,
        metrics_port=names.JAEGER_METRICS_PORT,
    )


def service(settings: StackSettings) -> ServiceSpec:
    """The one that keeps them."""
    healthcheck = http_check(settings, names.JAEGER, names.JAEGER_HEALTH_PORT, "/status", 20)
    return ServiceSpec(
        name=names.JAEGER,
        image=names.JAEGER,
        user=user(names.JAEGER_UID),
        command=("jaeger", "--config", "/etc/pidea/jaeger.yaml"),
        networks=(names.TELEMETRY,),
        configs=(ConfigMount(config=_CONFIG, target="/etc/pidea/jaeger.yaml"),),
        volumes=(VolumeMount(volume=names.JAEGER_DATA, target="/data"),),
        tmpfs=(TmpfsMount(target="/tmp", size_bytes=16 * MIB),),  # noqa: S108 - in the container, in memory
        resources=ResourceSpec(
            cpu_limit=1.0,
            memory_limit_bytes=_MEMORY_LIMIT_MIB * MIB,
            memory_reservation_bytes=128 * MIB,
        ),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )
