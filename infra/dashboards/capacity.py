"""What is taken of machines, disks and budgets, and where it leads."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Limits, Query, Unit, figure, lines, page
from infra.settings import StackSettings

_DISKS = 'fstype!~"tmpfs|overlay|squashfs|nsfs"'
_FREE = f"node_filesystem_avail_bytes{{{_DISKS}}}"


def _in_time(series: str, seconds: int) -> str:
    """Where a straight line through the last six hours leads; nothing while there are fewer."""
    return f"(predict_linear({series}[6h], {seconds}) and count_over_time({series}[6h:5m]) > 66)"


def page_of(_: StackSettings) -> Dashboard:
    """The same for every stack."""
    return page(
        "capacity",
        "Capacity and trends",
        "Nodes, disks, and what watching costs. Trends are straight lines through the last hours.",
        [
            figure(
                "Least disk free",
                "Of the fullest disk.",
                Unit.RATIO,
                Query(
                    f"min(node_filesystem_avail_bytes{{{_DISKS}}} / node_filesystem_size_bytes{{{_DISKS}}}"
                    " and node_filesystem_readonly == 0)",
                    "free",
                ),
                limits=Limits(0.2, 0.1),
                width=6,
            ),
            figure(
                "Disk free in a day",
                "Where the last six hours lead, of the disk that is worst off. Until then: what is free now.",
                Unit.RATIO,
                Query(
                    f"min(({_in_time(_FREE, 86400)} or {_FREE}) / node_filesystem_size_bytes{{{_DISKS}}}"
                    " and node_filesystem_readonly == 0)",
                    "free",
                ),
                limits=Limits(0.2, 0.1),
                width=6,
            ),
            figure(
                "Least memory free",
                "Of the fullest node.",
                Unit.RATIO,
                Query("min(node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)", "free"),
                limits=Limits(0.2, 0.1),
                width=6,
            ),
            figure(
                "Series of the budget",
                "Time series that Prometheus keeps in memory, of those planned.",
                Unit.RATIO,
                Query("max(prometheus_tsdb_head_series / on () group_left () watching:series_budget:count)", "taken"),
                limits=Limits(0.8, 1),
                width=6,
            ),
            lines(
                "Processors",
                "By what they do; the rest is idle.",
                Unit.RATIO,
                Query(
                    'avg by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval]))',
                    "{{mode}}",
                ),
                stacked=True,
            ),
            lines(
                "Memory",
                "Taken and there, of each node.",
                Unit.BYTES,
                Query("node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes", "taken {{instance}}"),
                Query("node_memory_MemTotal_bytes", "there {{instance}}"),
            ),
            lines(
                "Disks",
                "What is free.",
                Unit.BYTES,
                Query(
                    f"max by (instance, device) (node_filesystem_avail_bytes{{{_DISKS}}}"
                    " and node_filesystem_readonly == 0)",
                    "{{device}} {{instance}}",
                ),
            ),
            lines(
                "Disk time",
                "How much of the time a disk is at work.",
                Unit.RATIO,
                Query("rate(node_disk_io_time_seconds_total[$__rate_interval])", "{{device}} {{instance}}"),
            ),
            lines(
                "Network",
                "Of the nodes' own interfaces.",
                Unit.BYTES_PER_SECOND,
                Query(
                    'sum by (instance) (rate(node_network_receive_bytes_total{device!~"lo|veth.*|docker.*|br-.*"}'
                    "[$__rate_interval]))",
                    "in {{instance}}",
                ),
                Query(
                    'sum by (instance) (rate(node_network_transmit_bytes_total{device!~"lo|veth.*|docker.*|br-.*"}'
                    "[$__rate_interval]))",
                    "out {{instance}}",
                ),
            ),
            lines(
                "Memory by job",
                "Of what tells its own: the application, Prometheus, Alertmanager, exporters.",
                Unit.BYTES,
                Query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),
                stacked=True,
            ),
            lines(
                "Samples",
                "What Prometheus takes a second.",
                Unit.PER_SECOND,
                Query("instance:prometheus_samples:rate5m", "{{instance}}"),
                Query("watching:samples_per_second_budget:count", "planned"),
            ),
            lines(
                "Rules",
                "Seconds that all rules together take once.",
                Unit.SECONDS,
                Query("instance:prometheus_rules:seconds", "{{instance}}"),
                Query("watching:rule_seconds_budget:count", "planned"),
            ),
            lines(
                "Database",
                "Its size, and where the last six hours lead in a week once there are as many.",
                Unit.BYTES,
                Query("max(sum by (instance) (pg_database_size_bytes))", "size"),
                Query(
                    f"max(sum by (instance) ({_in_time('pg_database_size_bytes', 604800)} or pg_database_size_bytes))",
                    "in a week",
                ),
            ),
            lines(
                "Spans",
                "What Jaeger takes a second.",
                Unit.PER_SECOND,
                Query("sum(rate(otelcol_receiver_accepted_spans_total[$__rate_interval]))", "accepted"),
            ),
        ],
        since="now-6h",
    )
