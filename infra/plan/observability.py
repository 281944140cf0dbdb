"""Prometheus, Alertmanager, Jaeger and the node exporter."""

from __future__ import annotations

from pathlib import Path

from infra import names
from infra.plan.shared import ONE_PER_NODE, http_check, replace_in_place, user
from infra.render import config_from_template, config_from_text
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    ConfigSpec,
    HostMount,
    ResourceSpec,
    ServiceSpec,
    SubsystemSpec,
    TmpfsMount,
    VolumeMount,
    VolumeSpec,
)

RULES = Path(__file__).resolve().parent.parent / "rules"
_PROMETHEUS_CONFIG = "prometheus-yml"
_ALERTMANAGER_CONFIG = "alertmanager-yml"
_JAEGER_CONFIG = "jaeger-yaml"
_JAEGER_MEMORY_LIMIT_MIB = 384

# Job, service, port, path. The job is what alerts and dashboards know a service by.
_TARGETS = (
    (names.APP, names.APP, names.APP_PORT, "/metrics"),
    (names.EDGE, names.EDGE, names.EDGE_METRICS_PORT, "/metrics"),
    (names.REDIS, names.REDIS_EXPORTER, names.REDIS_EXPORTER_PORT, "/metrics"),
    (names.POSTGRES, names.POSTGRES_EXPORTER, names.POSTGRES_EXPORTER_PORT, "/metrics"),
    ("node", names.NODE_EXPORTER, names.NODE_EXPORTER_PORT, "/metrics"),
    (names.PROMETHEUS, names.PROMETHEUS, names.PROMETHEUS_PORT, "/prometheus/metrics"),
    (names.ALERTMANAGER, names.ALERTMANAGER, names.ALERTMANAGER_PORT, "/alertmanager/metrics"),
    (names.JAEGER, names.JAEGER, names.JAEGER_METRICS_PORT, "/metrics"),
)


def plan(settings: StackSettings) -> SubsystemSpec:
    """Metrics are pulled, traces are pushed; both stay on the telemetry network."""
    rules = _rules()
    return SubsystemSpec(
        name="observability",
        volumes=(
            VolumeSpec(name=names.PROMETHEUS_DATA),
            VolumeSpec(name=names.ALERTMANAGER_DATA),
            VolumeSpec(name=names.JAEGER_DATA),
        ),
        configs=(
            _prometheus_config(settings, rules),
            *rules,
            config_from_template(_ALERTMANAGER_CONFIG, "alertmanager.yml.j2"),
            _jaeger_config(settings),
        ),
        services=(
            _prometheus(settings, rules),
            _alertmanager(settings),
            _jaeger(settings),
            _node_exporter(settings),
        ),
    )


def _rules() -> tuple[ConfigSpec, ...]:
    return tuple(config_from_text(f"rules-{path.stem}", path.read_text()) for path in sorted(RULES.glob("*.yml")))


def _rule_path(rule: ConfigSpec) -> str:
    return f"/etc/pidea/{rule.name}.yml"


def _prometheus_config(settings: StackSettings, rules: tuple[ConfigSpec, ...]) -> ConfigSpec:
    return config_from_template(
        _PROMETHEUS_CONFIG,
        "prometheus.yml.j2",
        scrape_interval_seconds=settings.prometheus.scrape_interval_seconds,
        environment=settings.environment,
        instance=settings.instance,
        rule_files=[_rule_path(rule) for rule in rules],
        alertmanager_host=names.physical(settings.instance, names.ALERTMANAGER),
        alertmanager_port=names.ALERTMANAGER_PORT,
        targets=[
            (job, names.physical(settings.instance, service), port, path) for job, service, port, path in _TARGETS
        ],
    )


def _prometheus(settings: StackSettings, rules: tuple[ConfigSpec, ...]) -> ServiceSpec:
    healthcheck = http_check(settings, names.PROMETHEUS, names.PROMETHEUS_PORT, "/prometheus/-/ready", 60)
    return ServiceSpec(
        name=names.PROMETHEUS,
        image=names.PROMETHEUS,
        user=user(names.PROMETHEUS_UID),
        command=(
            "prometheus",
            "--config.file=/etc/pidea/prometheus.yml",
            "--storage.tsdb.path=/data",
            f"--storage.tsdb.retention.time={settings.prometheus.retention_days}d",
            "--enable-feature=exemplar-storage",
            "--web.route-prefix=/prometheus",
            f"--web.external-url=http://localhost:{settings.edge.operator_port}/prometheus/",
            "--log.format=json",
        ),
        networks=(names.TELEMETRY,),
        configs=(
            ConfigMount(config=_PROMETHEUS_CONFIG, target="/etc/pidea/prometheus.yml"),
            *(ConfigMount(config=rule.name, target=_rule_path(rule)) for rule in rules),
        ),
        volumes=(VolumeMount(volume=names.PROMETHEUS_DATA, target="/data"),),
        resources=ResourceSpec(cpu_limit=1.0, memory_limit_bytes=1024 * MIB, memory_reservation_bytes=256 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        stop_grace_period_seconds=30,
    )


def _alertmanager(settings: StackSettings) -> ServiceSpec:
    healthcheck = http_check(settings, names.ALERTMANAGER, names.ALERTMANAGER_PORT, "/alertmanager/-/ready", 15)
    return ServiceSpec(
        name=names.ALERTMANAGER,
        image=names.ALERTMANAGER,
        user=user(names.ALERTMANAGER_UID),
        command=(
            "prometheus-alertmanager",
            "--config.file=/etc/pidea/alertmanager.yml",
            "--storage.path=/data",
            "--web.route-prefix=/alertmanager",
            f"--web.external-url=http://localhost:{settings.edge.operator_port}/alertmanager/",
            # One of them is no cluster; an empty address keeps it from looking for one.
            "--cluster.listen-address=",
            "--log.format=json",
        ),
        networks=(names.TELEMETRY,),
        configs=(ConfigMount(config=_ALERTMANAGER_CONFIG, target="/etc/pidea/alertmanager.yml"),),
        volumes=(VolumeMount(volume=names.ALERTMANAGER_DATA, target="/data"),),
        resources=ResourceSpec(cpu_limit=0.5, memory_limit_bytes=128 * MIB, memory_reservation_bytes=32 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )


def _jaeger_config(settings: StackSettings) -> ConfigSpec:
    return config_from_template(
        _JAEGER_CONFIG,
        "jaeger.yaml.j2",
        retention_hours=settings.tracing.retention_hours,
        memory_limit_mib=_JAEGER_MEMORY_LIMIT_MIB * 3 // 4,
        otlp_http_port=names.JAEGER_OTLP_HTTP_PORT,
        query_port=names.JAEGER_QUERY_PORT,
        health_port=names.JAEGER_HEALTH_PORT,
        metrics_port=names.JAEGER_METRICS_PORT,
    )


def _jaeger(settings: StackSettings) -> ServiceSpec:
    healthcheck = http_check(settings, names.JAEGER, names.JAEGER_HEALTH_PORT, "/status", 20)
    return ServiceSpec(
        name=names.JAEGER,
        image=names.JAEGER,
        user=user(names.JAEGER_UID),
        command=("jaeger", "--config", "/etc/pidea/jaeger.yaml"),
        networks=(names.TELEMETRY,),
        configs=(ConfigMount(config=_JAEGER_CONFIG, target="/etc/pidea/jaeger.yaml"),),
        volumes=(VolumeMount(volume=names.JAEGER_DATA, target="/data"),),
        tmpfs=(TmpfsMount(target="/tmp", size_bytes=16 * MIB),),  # noqa: S108 - in the container, in memory
        resources=ResourceSpec(
            cpu_limit=1.0,
            memory_limit_bytes=_JAEGER_MEMORY_LIMIT_MIB * MIB,
            memory_reservation_bytes=128 * MIB,
        ),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )


def _node_exporter(settings: StackSettings) -> ServiceSpec:
    healthcheck = http_check(settings, names.NODE_EXPORTER, names.NODE_EXPORTER_PORT, "/", 10)
    return ServiceSpec(
        name=names.NODE_EXPORTER,
        image=names.NODE_EXPORTER,
        user=user(names.EXPORTER_UID),
        replicas=settings.nodes,
        placement=ONE_PER_NODE,
        command=(
            "prometheus-node-exporter",
            "--path.procfs=/host/proc",
            "--path.sysfs=/host/sys",
            "--path.rootfs=/host/root",
            "--no-collector.textfile",
            "--no-collector.udp_queues",
            "--log.format=json",
        ),
        networks=(names.TELEMETRY,),
        host_mounts=(
            HostMount(source="/proc", target="/host/proc"),
            HostMount(source="/sys", target="/host/sys"),
            HostMount(source="/", target="/host/root"),
        ),
        resources=ResourceSpec(cpu_limit=0.25, memory_limit_bytes=64 * MIB, memory_reservation_bytes=16 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )
