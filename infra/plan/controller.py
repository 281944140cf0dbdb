"""The controller of the Redis cluster: it repairs what the sentinels cannot, and tells Prometheus of the rest.

It reaches servers and sentinels over the network, as a user that may do just that, and knows nothing of Docker. One
task, and no lease: Swarm starts it anew wherever it is lost.
"""

from __future__ import annotations

from types import MappingProxyType

from infra import names
from infra.plan import sentinel
from infra.plan.redis_members import DNS_OPTIONS, sentinels, servers
from infra.plan.shared import http_check, replace_in_place, user
from infra.settings import StackSettings
from infra.spec import MIB, ResourceSpec, SecretMount, ServiceSpec, SubsystemSpec

# Of the same for so long the sentinels have had their chance: they heal what they can within a few seconds.
_PATIENCE_SECONDS = 10
# Twice the failover's limit is when a sentinel tries again, and a member that comes back waits 12 s for its role.
_PROMOTE_PATIENCE_SECONDS = 20
_COOLDOWN_SECONDS = 60
# On a machine that is short of processors a server that is well takes its time.
_ANSWER_SECONDS = 2


def plan(settings: StackSettings) -> SubsystemSpec:
    """One service; its passwords are those of the Redis cluster's users."""
    healthcheck = http_check(settings, names.CONTROLLER, names.CONTROLLER_PORT, "/healthz", 15)
    password = names.secret_path(names.REDIS_CONTROLLER_PASSWORD)

    def addresses(members: tuple[str, ...], port: int) -> str:
        return ",".join(f"{names.physical(settings.instance, name)}:{port}" for name in members)

    service = ServiceSpec(
        name=names.CONTROLLER,
        image=names.CONTROLLER,
        user=user(names.CONTROLLER_UID),
        networks=(names.DATA, names.TELEMETRY),
        dns_options=DNS_OPTIONS,
        env=MappingProxyType(
            {
                "MODE": settings.controller.mode,
                "INTERVAL_SECONDS": str(settings.controller.interval_seconds),
                "PATIENCE_SECONDS": str(_PATIENCE_SECONDS),
                "PROMOTE_PATIENCE_SECONDS": str(_PROMOTE_PATIENCE_SECONDS),
                "COOLDOWN_SECONDS": str(_COOLDOWN_SECONDS),
                "ANSWER_SECONDS": str(_ANSWER_SECONDS),
                "PORT": str(names.CONTROLLER_PORT),
                "REDIS_SERVERS": addresses(servers(settings), names.REDIS_PORT),
                "REDIS_SENTINELS": addresses(sentinels(settings), names.SENTINEL_PORT),
                "REDIS_SENTINEL_SERVICE": names.REDIS_PRIMARY,
                "REDIS_USERNAME": names.REDIS_CONTROLLER_USERNAME,
                "REDIS_PASSWORD_FILE": password,
                "SENTINEL_USERNAME": names.REDIS_CONTROLLER_USERNAME,
                "SENTINEL_PASSWORD_FILE": password,
                # What a sentinel is told to use that is told to watch another server.
                "WATCH_USERNAME": names.REDIS_SENTINEL_USERNAME,
                "WATCH_PASSWORD_FILE": names.secret_path(names.REDIS_SENTINEL_PASSWORD),
                "DOWN_AFTER_MILLISECONDS": str(sentinel.DOWN_AFTER_MILLISECONDS),
                "FAILOVER_TIMEOUT_MILLISECONDS": str(sentinel.FAILOVER_TIMEOUT_MILLISECONDS),
            }
        ),
        secrets=tuple(
            SecretMount(secret=name, target=name, uid=names.CONTROLLER_UID)
            for name in (names.REDIS_CONTROLLER_PASSWORD, names.REDIS_SENTINEL_PASSWORD)
        ),
        resources=ResourceSpec(cpu_limit=0.25, memory_limit_bytes=96 * MIB, memory_reservation_bytes=32 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )
    return SubsystemSpec(name=names.CONTROLLER, services=(service,))
