"""Redis: one server, or a cluster with sentinels and the controller that looks after it."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Limits, PanelBuilder, Query, Unit, figure, lines, page
from infra.settings import StackSettings

_SERVERS = 'job="redis"'


def page_of(settings: StackSettings) -> Dashboard:
    """With replicas, also who follows whom."""
    cluster = _cluster() if settings.redis.replicas else ()
    return page(
        "redis",
        "Redis",
        "The cache's second tier. Without it chats load slower; nothing is lost.",
        [*_server(), *cluster],
    )


def _server() -> Iterator[PanelBuilder]:
    yield figure(
        "Servers that answer",
        "As their exporters say.",
        Unit.COUNT,
        Query(f"sum(redis_up{{{_SERVERS}}})", "servers"),
        limits=Limits(1, 0.5),
        width=6,
    )
    yield figure(
        "Memory taken",
        "Of the most that is allowed. A full cache drops what was used least.",
        Unit.RATIO,
        Query(f"max(redis_memory_used_bytes{{{_SERVERS}}} / redis_memory_max_bytes{{{_SERVERS}}})", "taken"),
        limits=Limits(0.9, 0.98),
        width=6,
    )
    yield figure(
        "Clients",
        "Connections to all servers.",
        Unit.COUNT,
        Query(f"sum(redis_connected_clients{{{_SERVERS}}})", "clients"),
        width=6,
    )
    yield figure(
        "Keys",
        "Of the fullest server.",
        Unit.COUNT,
        Query(f"max(sum by (instance) (redis_db_keys{{{_SERVERS}}}))", "keys"),
        width=6,
    )
    yield lines(
        "Commands",
        "Commands a second of each server.",
        Unit.PER_SECOND,
        Query(f"rate(redis_commands_processed_total{{{_SERVERS}}}[$__rate_interval])", "{{instance}}"),
    )
    yield lines(
        "Time of a command",
        "Mean processor time by command.",
        Unit.SECONDS,
        Query(
            f"sum by (cmd) (rate(redis_commands_duration_seconds_total{{{_SERVERS}}}[$__rate_interval]))"
            f" / (sum by (cmd) (rate(redis_commands_total{{{_SERVERS}}}[$__rate_interval])) > 0)",
            "{{cmd}}",
        ),
    )
    yield lines(
        "Memory",
        "What is used, and the most that is allowed.",
        Unit.BYTES,
        Query(f"redis_memory_used_bytes{{{_SERVERS}}}", "used {{instance}}"),
        Query(f"max(redis_memory_max_bytes{{{_SERVERS}}})", "allowed"),
    )
    yield lines(
        "Found and not found",
        "Lookups of keys.",
        Unit.PER_SECOND,
        Query(f"sum(rate(redis_keyspace_hits_total{{{_SERVERS}}}[$__rate_interval]))", "found"),
        Query(f"sum(rate(redis_keyspace_misses_total{{{_SERVERS}}}[$__rate_interval]))", "not found"),
    )
    yield lines(
        "Keys that go",
        "Expired is normal; evicted means that the cache is full.",
        Unit.PER_SECOND,
        Query(f"sum(rate(redis_expired_keys_total{{{_SERVERS}}}[$__rate_interval]))", "expired"),
        Query(f"sum(rate(redis_evicted_keys_total{{{_SERVERS}}}[$__rate_interval]))", "evicted"),
    )
    yield lines(
        "Connections",
        "Connected clients, and connections refused a second, which should be none.",
        Unit.COUNT,
        Query(f"redis_connected_clients{{{_SERVERS}}}", "connected {{instance}}"),
        Query(f"sum(rate(redis_rejected_connections_total{{{_SERVERS}}}[$__rate_interval]))", "refused"),
    )


def _cluster() -> Iterator[PanelBuilder]:
    yield lines(
        "Primaries",
        "Servers that take themselves for the primary, as the controller sees it: always one.",
        Unit.COUNT,
        Query("max(pidea_controller_redis_primaries)", "primaries"),
    )
    yield lines(
        "Replicas that follow",
        "1 where a replica's link to its primary is up.",
        Unit.COUNT,
        Query("redis_master_link_up", "{{member}}"),
        top=1,
    )
    yield lines(
        "Lag of the replicas",
        "How far each is behind its primary.",
        Unit.SECONDS,
        Query("max by (slave_ip) (redis_connected_slave_lag_seconds)", "{{slave_ip}}"),
    )
    yield lines(
        "Sentinels",
        "Sentinels that each one knows and finds well; a majority decides who is the primary.",
        Unit.COUNT,
        Query("redis_sentinel_master_ok_sentinels", "{{member}}"),
    )
    yield lines(
        "Findings",
        "What the controller finds wrong just now.",
        Unit.COUNT,
        Query("max by (finding) (pidea_controller_findings)", "{{finding}}"),
    )
    yield lines(
        "Repairs",
        "Repairs that the controller made in the last half hour.",
        Unit.COUNT,
        Query("sum by (repair) (increase(pidea_controller_repairs_total[30m]))", "{{repair}}"),
    )
