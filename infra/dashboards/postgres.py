"""PostgreSQL: one server, or a cluster under Patroni with etcd."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra import names
from infra.dashboards.panels import Limits, PanelBuilder, Query, Unit, figure, lines, or_none, page
from infra.settings import StackSettings

_DATABASE = f'datname="{names.POSTGRES_DATABASE}"'


def page_of(settings: StackSettings) -> Dashboard:
    """With standbys, also who leads and who follows."""
    cluster = _cluster() if settings.postgres.standbys else ()
    return page(
        "postgresql",
        "PostgreSQL",
        "The system of record. Without it chats cannot be written, and only what is cached can be read.",
        [*_server(), *cluster],
    )


def _server() -> Iterator[PanelBuilder]:
    yield figure(
        "Servers that answer",
        "As their exporters say.",
        Unit.COUNT,
        Query("sum(pg_up)", "servers"),
        limits=Limits(1, 0.5),
        width=6,
    )
    yield figure(
        "Connections taken",
        "Of those that a server allows. At 100 % requests fail.",
        Unit.RATIO,
        Query(
            "max(sum by (instance) (pg_stat_activity_count)"
            " / on (instance) min by (instance) (pg_settings_max_connections))",
            "taken",
        ),
        limits=Limits(0.6, 0.8),
        width=6,
    )
    yield figure(
        "Longest transaction",
        "What it locks makes others wait.",
        Unit.SECONDS,
        Query('max(pg_stat_activity_max_tx_duration{state!~"idle|disabled"})', "open for"),
        limits=Limits(60, 600),
        width=6,
    )
    yield figure(
        "Database",
        "Its size on disk.",
        Unit.BYTES,
        Query(f"max(pg_database_size_bytes{{{_DATABASE}}})", "size"),
        width=6,
    )
    yield lines(
        "Transactions",
        "Committed and rolled back.",
        Unit.PER_SECOND,
        Query(f"sum(rate(pg_stat_database_xact_commit{{{_DATABASE}}}[$__rate_interval]))", "committed"),
        Query(f"sum(rate(pg_stat_database_xact_rollback{{{_DATABASE}}}[$__rate_interval]))", "rolled back"),
    )
    yield lines(
        "Rows",
        "Read and written.",
        Unit.PER_SECOND,
        *(
            Query(f"sum(rate(pg_stat_database_tup_{what}{{{_DATABASE}}}[$__rate_interval]))", what)
            for what in ("fetched", "inserted", "updated", "deleted")
        ),
    )
    yield lines(
        "Connections",
        "By what they do. Many that are 'idle in transaction' hold what others wait for.",
        Unit.COUNT,
        Query("sum by (state) (pg_stat_activity_count)", "{{state}}"),
        stacked=True,
    )
    yield lines(
        "Read from memory",
        "Of the blocks that queries needed, those that were in PostgreSQL's memory.",
        Unit.RATIO,
        Query(
            f"sum(rate(pg_stat_database_blks_hit{{{_DATABASE}}}[$__rate_interval])) / (sum(rate("
            f"pg_stat_database_blks_hit{{{_DATABASE}}}[$__rate_interval])) + sum(rate("
            f"pg_stat_database_blks_read{{{_DATABASE}}}[$__rate_interval])) > 0)",
            "in memory",
        ),
        top=1,
    )
    yield lines(
        "Locks",
        "Held or waited for, by mode.",
        Unit.COUNT,
        Query(or_none(f"sum by (mode) (pg_locks_count{{{_DATABASE}}}) > 0", "mode"), "{{mode}}"),
    )
    yield lines(
        "Deadlocks and conflicts",
        "Transactions that PostgreSQL ended because they waited for one another, or stood in the way of replication.",
        Unit.PER_SECOND,
        Query(f"sum(rate(pg_stat_database_deadlocks{{{_DATABASE}}}[$__rate_interval]))", "deadlocks"),
        Query(f"sum(rate(pg_stat_database_conflicts{{{_DATABASE}}}[$__rate_interval]))", "conflicts"),
    )


def _cluster() -> Iterator[PanelBuilder]:
    yield lines(
        "Roles",
        "2 the primary, 1 a standby, 0 neither: always one primary.",
        Unit.COUNT,
        Query("2 * patroni_primary + patroni_replica", "{{member}}"),
        top=2,
    )
    yield lines(
        "Behind the primary",
        "Bytes of WAL that a standby has not replayed; far behind, it cannot take over at once.",
        Unit.BYTES,
        Query(
            "scalar(max(patroni_xlog_location)) - patroni_xlog_replayed_location and patroni_replica == 1", "{{member}}"
        ),
    )
    yield lines(
        "Synchronous standbys",
        "Without one no write is acknowledged.",
        Unit.COUNT,
        Query("sum(patroni_sync_standby)", "standbys"),
    )
    yield lines(
        "etcd",
        "Members that know a leader, and leaders that came to be in the last hour.",
        Unit.COUNT,
        Query("sum(etcd_server_has_leader)", "know a leader"),
        Query("max(increase(etcd_server_leader_changes_seen_total[1h]))", "new leaders"),
    )
    yield lines(
        "etcd's disk",
        "99 of 100 writes are on disk within this time. Above 0.5 s the primary may lose its lease.",
        Unit.SECONDS,
        Query(
            "histogram_quantile(0.99, sum by (member, le) ("
            "rate(etcd_disk_wal_fsync_duration_seconds_bucket[$__rate_interval])))",
            "{{member}}",
        ),
    )
