"""What Prometheus scrapes."""

from __future__ import annotations

import dataclasses

from infra import names
from infra.settings import StackSettings


@dataclasses.dataclass(frozen=True)
class Target:
    """Services that are scraped alike; `job` is what alerts and dashboards know them by.

    `replicas` is how many tasks each of the services has. `of` is an address that they tell about instead of their own,
    with `SLOT` for the number of the service.
    """

    job: str
    services: tuple[str, ...]
    port: int
    path: str = "/metrics"
    replicas: int = 1
    of: str | None = None

    @property
    def tasks(self) -> int:
        """How many answers there shall be."""
        return len(self.services) * self.replicas


def members(service: str, count: int) -> tuple[str, ...]:
    """The services of a cluster of `count`; one alone has no number."""
    return (service,) if count == 1 else tuple(names.member(service, slot) for slot in range(1, count + 1))


def targets(settings: StackSettings) -> tuple[Target, ...]:
    """Every service that has figures of its own, and the exporters of those that have not."""
    prometheus = members(names.PROMETHEUS, settings.prometheus.replicas)
    alertmanager = members(names.ALERTMANAGER, settings.alertmanager.replicas)
    return (
        Target(names.APP, (names.APP,), names.APP_PORT, replicas=settings.app.replicas),
        Target(names.EDGE, (names.EDGE,), names.EDGE_METRICS_PORT, replicas=settings.nodes),
        Target(names.REDIS, members(names.REDIS_EXPORTER, settings.redis.replicas + 1), names.REDIS_EXPORTER_PORT),
        *_sentinels(settings),
        *_controller(settings),
        *_postgres(settings),
        Target(names.BACKUP, (names.BACKUP,), names.BACKUP_PORT),
        Target("node", (names.NODE_EXPORTER,), names.NODE_EXPORTER_PORT, replicas=settings.nodes),
        Target(names.PROMETHEUS, prometheus, names.PROMETHEUS_PORT, "/prometheus/metrics"),
        Target(names.ALERTMANAGER, alertmanager, names.ALERTMANAGER_PORT, "/alertmanager/metrics"),
        Target(names.JAEGER, (names.JAEGER,), names.JAEGER_METRICS_PORT),
        Target(names.DASHBOARDS, (names.DASHBOARDS,), names.DASHBOARDS_PORT),
        *_grafana(settings),
        *_collector(settings),
        *_blackbox(settings),
    )


def _sentinels(settings: StackSettings) -> tuple[Target, ...]:
    """What the exporters of the servers say of the sentinels beside them."""
    if not settings.redis.replicas:
        return ()
    exporters = members(names.REDIS_EXPORTER, settings.redis.replicas + 1)
    host = names.physical(settings.instance, f"{names.SENTINEL}-SLOT")
    address = f"redis://{host}:{names.SENTINEL_PORT}"
    return (Target(names.SENTINEL, exporters, names.REDIS_EXPORTER_PORT, "/scrape", of=address),)


def _controller(settings: StackSettings) -> tuple[Target, ...]:
    if not settings.redis.replicas:
        return ()
    return (Target(names.CONTROLLER, (names.CONTROLLER,), names.CONTROLLER_PORT),)


def _blackbox(settings: StackSettings) -> tuple[Target, ...]:
    if not settings.edge.tls:
        return ()
    return (Target("blackbox", (names.BLACKBOX_EXPORTER,), names.BLACKBOX_EXPORTER_PORT),)


def _grafana(settings: StackSettings) -> tuple[Target, ...]:
    if names.GRAFANA not in settings.images:
        return ()
    return (Target(names.GRAFANA, (names.GRAFANA,), names.GRAFANA_PORT, "/metrics"),)


def _collector(settings: StackSettings) -> tuple[Target, ...]:
    if settings.nodes == 1:
        return ()
    return (Target(names.COLLECTOR, (names.COLLECTOR,), names.JAEGER_METRICS_PORT, replicas=settings.nodes),)


def _postgres(settings: StackSettings) -> tuple[Target, ...]:
    servers = settings.postgres.standbys + 1
    exporters = Target(names.POSTGRES, members(names.POSTGRES_EXPORTER, servers), names.POSTGRES_EXPORTER_PORT)
    if servers == 1:
        return (exporters,)
    return (
        exporters,
        Target(names.PATRONI, members(names.POSTGRES, servers), names.PATRONI_PORT),
        Target(names.ETCD, members(names.ETCD, settings.nodes), names.ETCD_METRICS_PORT),
    )
