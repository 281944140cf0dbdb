"""Jaeger: takes traces, keeps them, and shows them. On several nodes others take them, and wait for the one that keeps.

Badger is one process' storage; a second Jaeger would have traces of its own.
"""

from __future__ import annotations

from infra import names
from infra.plan.shared import ONE_PER_NODE, http_check, on_slot, replace_in_place, user
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    ConfigSpec,
    PlacementSpec,
    ResourceSpec,
    ServiceSpec,
    TmpfsMount,
    VolumeMount,
)

_CONFIG = "jaeger-yaml"
_COLLECTOR_CONFIG = "collector-yaml"
_MEMORY_LIMIT_MIB = 384
# Of serialized spans, which take about three times as much in memory.
_COLLECTOR_QUEUE_MIB = 48


def traces_to(settings: StackSettings) -> str:
    """The service that takes traces."""
    return names.COLLECTOR if settings.nodes > 1 else names.JAEGER


def configs(settings: StackSettings) -> tuple[ConfigSpec, ...]:
    """Where traces come in, how long they stay, and where they are asked for."""
    return (_config(settings), *([_collector_config(settings)] if settings.nodes > 1 else []))


def services(settings: StackSettings) -> tuple[ServiceSpec, ...]:
    """The one that keeps them; on several nodes also a collector on each."""
    return (_service(settings), *([_collector(settings)] if settings.nodes > 1 else []))


def _config(settings: StackSettings) -> ConfigSpec:
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


def _collector_config(settings: StackSettings) -> ConfigSpec:
    return config_from_template(
        _COLLECTOR_CONFIG,
        "collector.yaml.j2",
        jaeger_host=names.physical(settings.instance, names.JAEGER),
        memory_limit_mib=_MEMORY_LIMIT_MIB * 3 // 4,
        queue_bytes=_COLLECTOR_QUEUE_MIB * MIB,
        otlp_http_port=names.JAEGER_OTLP_HTTP_PORT,
        health_port=names.JAEGER_HEALTH_PORT,
        metrics_port=names.JAEGER_METRICS_PORT,
    )


def _collector(settings: StackSettings) -> ServiceSpec:
    healthcheck = http_check(settings, names.JAEGER, names.JAEGER_HEALTH_PORT, "/status", 10)
    return ServiceSpec(
        name=names.COLLECTOR,
        image=names.JAEGER,
        user=user(names.JAEGER_UID),
        replicas=settings.nodes,
        placement=ONE_PER_NODE,
        command=("jaeger", "--config", "/etc/pidea/collector.yaml"),
        networks=(names.TELEMETRY,),
        configs=(ConfigMount(config=_COLLECTOR_CONFIG, target="/etc/pidea/collector.yaml"),),
        tmpfs=(TmpfsMount(target="/tmp", size_bytes=16 * MIB),),  # noqa: S108 - in the container, in memory
        resources=ResourceSpec(
            cpu_limit=0.5, memory_limit_bytes=_MEMORY_LIMIT_MIB * MIB, memory_reservation_bytes=64 * MIB
        ),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        # What waits in the queue is sent before it ends.
        stop_grace_period_seconds=20,
    )


def _service(settings: StackSettings) -> ServiceSpec:
    healthcheck = http_check(settings, names.JAEGER, names.JAEGER_HEALTH_PORT, "/status", 20)
    return ServiceSpec(
        name=names.JAEGER,
        image=names.JAEGER,
        user=user(names.JAEGER_UID),
        placement=on_slot(1) if settings.nodes > 1 else PlacementSpec(),
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
