"""The exporter of Redis' figures: one for a server, and for the sentinel beside it where there is one."""

from __future__ import annotations

from types import MappingProxyType

from infra import names
from infra.plan.shared import http_check, replace_beside, user
from infra.settings import StackSettings
from infra.spec import MIB, PlacementSpec, ResourceSpec, SecretMount, ServiceSpec


def exporter(settings: StackSettings, *, name: str, server: str, placement: PlacementSpec) -> ServiceSpec:
    """`/metrics` has the figures of `server`; `/scrape?target=` those of another one that it has the password of."""
    address = f"redis://{names.physical(settings.instance, server)}:{names.REDIS_PORT}"
    healthcheck = http_check(settings, names.REDIS_EXPORTER, names.REDIS_EXPORTER_PORT, "/health", 10)
    return ServiceSpec(
        name=name,
        image=names.REDIS_EXPORTER,
        user=user(names.EXPORTER_UID),
        placement=placement,
        command=("prometheus-redis-exporter",),
        networks=(names.DATA, names.TELEMETRY),
        env=MappingProxyType(
            {
                "REDIS_ADDR": address,
                # It tries twice, and Prometheus waits for ten seconds: longer, and `redis_up` is missing instead of 0.
                "REDIS_EXPORTER_CONNECTION_TIMEOUT": "3s",
                "REDIS_USER": names.REDIS_EXPORTER_USERNAME,
                "REDIS_PASSWORD_FILE": names.secret_path(names.REDIS_EXPORTER_PASSWORDS),
            }
        ),
        secrets=(
            SecretMount(
                secret=names.REDIS_EXPORTER_PASSWORDS,
                target=names.REDIS_EXPORTER_PASSWORDS,
                uid=names.EXPORTER_UID,
            ),
        ),
        resources=ResourceSpec(cpu_limit=0.25, memory_limit_bytes=64 * MIB, memory_reservation_bytes=16 * MIB),
        healthcheck=healthcheck,
        update=replace_beside(healthcheck),
    )
