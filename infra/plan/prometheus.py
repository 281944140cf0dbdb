"""Prometheus: one, or replicas that watch the same, each on a node of its own with a volume of its own."""

from __future__ import annotations

from pathlib import Path

from infra import names
from infra.plan import objectives
from infra.plan.shared import http_check, on_slot, replace_in_place, user
from infra.plan.targets import members, targets
from infra.render import config_from_template, config_from_text
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    ConfigSpec,
    PlacementSpec,
    ResourceSpec,
    ServiceSpec,
    VolumeMount,
)

RULES = Path(__file__).resolve().parent.parent / "rules"


def configs(settings: StackSettings) -> tuple[ConfigSpec, ...]:
    """Each replica's configuration, and the rules that they share."""
    return (*(_config(settings, name) for name in _members(settings)), *_rules(settings))


def services(settings: StackSettings) -> tuple[ServiceSpec, ...]:
    """The replicas, or the one."""
    found = _members(settings)
    if len(found) == 1:
        return (_service(settings, names.PROMETHEUS, PlacementSpec()),)
    return tuple(_service(settings, name, on_slot(slot)) for slot, name in enumerate(found, start=1))


def _members(settings: StackSettings) -> tuple[str, ...]:
    return members(names.PROMETHEUS, settings.prometheus.replicas)


def _rules(settings: StackSettings) -> tuple[ConfigSpec, ...]:
    # A rule about what the stack does not have would say that it is missing.
    only_where = {
        "cluster.yml": settings.nodes > 1,
        "certificate.yml": settings.edge.tls,
        "controller.yml": settings.redis.replicas > 0,
        "heartbeat.yml": settings.alertmanager.heartbeat is not None,
        "redis-cluster.yml": settings.redis.replicas > 0,
    }
    files = [path for path in sorted(RULES.glob("*.yml")) if only_where.get(path.name, True)]
    return (
        *(config_from_text(f"rules-{path.stem}", path.read_text()) for path in files),
        objectives.config(settings),
        _budgets(settings),
        *_expected(settings),
    )


def _budgets(settings: StackSettings) -> ConfigSpec:
    asked = settings.prometheus
    return config_from_template(
        "watching-budgets",
        "watching-budgets.yml.j2",
        max_series=asked.max_series,
        max_samples_per_second=asked.max_samples_per_second,
        max_rule_seconds=asked.max_rule_seconds,
    )


def _expected(settings: StackSettings) -> tuple[ConfigSpec, ...]:
    # One node has nothing to lose a part of.
    if settings.nodes == 1:
        return ()
    return (config_from_template("expected-tasks", "expected-tasks.yml.j2", targets=targets(settings)),)


def _rule_path(rule: ConfigSpec) -> str:
    return f"/etc/pidea/{rule.name}.yml"


def _config(settings: StackSettings, member: str) -> ConfigSpec:
    def dns_names(services: tuple[str, ...]) -> list[str]:
        return [f"tasks.{names.physical(settings.instance, service)}" for service in services]

    return config_from_template(
        f"{member}-yml",
        "prometheus.yml.j2",
        scrape_interval_seconds=settings.prometheus.scrape_interval_seconds,
        environment=settings.environment,
        instance=settings.instance,
        replica=member if settings.prometheus.replicas > 1 else None,
        rule_files=[_rule_path(rule) for rule in _rules(settings)],
        alertmanager_names=dns_names(members(names.ALERTMANAGER, settings.alertmanager.replicas)),
        alertmanager_port=names.ALERTMANAGER_PORT,
        edge_name=dns_names((names.EDGE,))[0] if settings.edge.tls else None,
        edge_port=names.EDGE_PUBLIC_PORT,
        blackbox_address=f"{names.physical(settings.instance, names.BLACKBOX_EXPORTER)}:{names.BLACKBOX_EXPORTER_PORT}",
        targets=[
            (target.job, dns_names(target.services), target.port, target.path, target.of)
            for target in targets(settings)
        ],
    )


def _service(settings: StackSettings, name: str, placement: PlacementSpec) -> ServiceSpec:
    healthcheck = http_check(settings, names.PROMETHEUS, names.PROMETHEUS_PORT, "/prometheus/-/ready", 60)
    return ServiceSpec(
        name=name,
        image=names.PROMETHEUS,
        user=user(names.PROMETHEUS_UID),
        placement=placement,
        command=(
            "prometheus",
            "--config.file=/etc/pidea/prometheus.yml",
            "--storage.tsdb.path=/data",
            f"--storage.tsdb.retention.time={settings.prometheus.retention_days}d",
            "--enable-feature=exemplar-storage",
            "--web.route-prefix=/prometheus",
            f"--web.external-url={settings.edge.operator_url}/prometheus/",
            "--log.format=json",
        ),
        networks=(names.TELEMETRY,),
        configs=(
            ConfigMount(config=f"{name}-yml", target="/etc/pidea/prometheus.yml"),
            *(ConfigMount(config=rule.name, target=_rule_path(rule)) for rule in _rules(settings)),
        ),
        volumes=(VolumeMount(volume=names.PROMETHEUS_DATA, target="/data"),),
        resources=ResourceSpec(cpu_limit=1.0, memory_limit_bytes=1024 * MIB, memory_reservation_bytes=256 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        stop_grace_period_seconds=30,
    )
