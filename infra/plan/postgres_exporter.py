"""What makes PostgreSQL's figures Prometheus': one for each server."""

from __future__ import annotations

from types import MappingProxyType

from infra import names, servers
from infra.plan.shared import http_check, replace_beside, user
from infra.settings import StackSettings
from infra.spec import MIB, ResourceSpec, SecretMount, ServiceSpec


def services(settings: StackSettings) -> tuple[ServiceSpec, ...]:
    """An exporter for the one server, or for each member."""
    if settings.postgres.standbys == 0:
        return (_exporter(settings, names.POSTGRES_EXPORTER, names.POSTGRES),)
    slots = range(1, settings.postgres.standbys + 2)
    return tuple(
        _exporter(settings, names.member(names.POSTGRES_EXPORTER, slot), names.member(names.POSTGRES, slot))
        for slot in slots
    )


def _exporter(settings: StackSettings, name: str, server: str) -> ServiceSpec:
    host = names.physical(settings.instance, server)
    healthcheck = http_check(settings, names.POSTGRES_EXPORTER, names.POSTGRES_EXPORTER_PORT, "/", 10)
    return ServiceSpec(
        name=name,
        image=names.POSTGRES_EXPORTER,
        user=user(names.EXPORTER_UID),
        command=("prometheus-postgres-exporter", *_without(settings)),
        networks=(names.DATA, names.TELEMETRY),
        env=MappingProxyType(
            {
                # Less than Prometheus waits, or `pg_up` is missing instead of 0 while nobody answers for the name.
                "DATA_SOURCE_URI": f"{host}:{names.POSTGRES_PORT}/{names.POSTGRES_DATABASE}"
                "?sslmode=disable&connect_timeout=3",
                "DATA_SOURCE_USER": names.POSTGRES_EXPORTER_USERNAME,
                "DATA_SOURCE_PASS_FILE": names.secret_path(names.POSTGRES_EXPORTER_PASSWORD),
            }
        ),
        secrets=(
            SecretMount(
                secret=names.POSTGRES_EXPORTER_PASSWORD,
                target=names.POSTGRES_EXPORTER_PASSWORD,
                uid=names.EXPORTER_UID,
            ),
        ),
        resources=ResourceSpec(cpu_limit=0.25, memory_limit_bytes=64 * MIB, memory_reservation_bytes=16 * MIB),
        healthcheck=healthcheck,
        update=replace_beside(healthcheck),
    )


def _without(settings: StackSettings) -> tuple[str, ...]:
    # Since 17 what it asks of the background writer is in another view: it would complain at each scrape, and no rule
    # or dashboard reads it. An exporter from elsewhere is newer, and knows that view.
    is_known = int(servers.POSTGRES.major(settings.postgres.version)) < 17
    return () if is_known or names.POSTGRES_EXPORTER in settings.images else ("--no-collector.bgwriter",)
