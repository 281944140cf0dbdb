"""Metrics, alerts and traces: what watches the rest."""

from __future__ import annotations

from infra import names
from infra.plan import alertmanager, blackbox_exporter, dashboards, grafana, jaeger, node_exporter, prometheus
from infra.settings import StackSettings
from infra.spec import SubsystemSpec, VolumeSpec


def plan(settings: StackSettings) -> SubsystemSpec:
    """Metrics are pulled, traces are pushed; both stay on the telemetry network."""
    return SubsystemSpec(
        name="observability",
        volumes=(
            VolumeSpec(name=names.PROMETHEUS_DATA, no_backup="figures of the last days, which alerts need no more"),
            VolumeSpec(name=names.ALERTMANAGER_DATA, backup="silences (its API)"),
            VolumeSpec(name=names.JAEGER_DATA, no_backup="a sample of traces, kept for days"),
        ),
        secrets=alertmanager.secrets(settings),
        configs=(
            *prometheus.configs(settings),
            alertmanager.config(settings),
            *jaeger.configs(settings),
            *blackbox_exporter.configs(settings),
            *dashboards.configs(settings),
            *grafana.configs(settings),
        ),
        services=(
            *prometheus.services(settings),
            *alertmanager.services(settings),
            *jaeger.services(settings),
            node_exporter.service(settings),
            *blackbox_exporter.services(settings),
            dashboards.service(settings),
            *grafana.services(settings),
        ),
    )
