"""Sentinels: one a node, they agree on who of the Redis servers is the primary and choose another when it is gone."""

from __future__ import annotations

from types import MappingProxyType

from infra import names
from infra.plan.redis_members import DNS_OPTIONS, environment, secret_mounts, sentinels
from infra.plan.shared import on_slot, replace_in_place, user
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import MIB, ConfigMount, ConfigSpec, HealthcheckSpec, ResourceSpec, ServiceSpec, VolumeMount

_CONFIG = "sentinel-conf"
# A server that has not answered for so long is down. Shorter, and a machine that is short of processors loses its
# primary; the failover itself takes about a second and a half more.
DOWN_AFTER_MILLISECONDS = 1500
# Twice this after a failed attempt comes the next one.
FAILOVER_TIMEOUT_MILLISECONDS = 5000
# Redis' own are made for slow failovers: after a vote without a winner 10 s pass, a link that broke rests for 15 s, and
# a sentinel whose clock jumped or that stood still keeps out of everything for 30 s. PUBLISH-PERIOD stays at its 2 s:
# every message costs each sentinel a look-up of a name, during which it does nothing else. INFO-PERIOD is how
# late a sentinel may learn that a former primary has become a replica. One that is cut off before that starts anew
# (`sentinel-member`): else it orders this replica back, even if the others have made it the primary.
_PERIODS = (
    "PING-PERIOD 500 ASK-PERIOD 500 INFO-PERIOD 1000 "
    "ELECTION-TIMEOUT 2000 MIN-LINK-RECONNECT-PERIOD 3000 TILT-PERIOD 5000"
)


def config(settings: StackSettings) -> ConfigSpec:
    """What all sentinels share; who a sentinel is and what it knows are written at its start."""
    return config_from_template(
        _CONFIG,
        "sentinel.conf.j2",
        port=names.SENTINEL_PORT,
        acl_file=names.secret_path(names.SENTINEL_ACL),
        primary=names.REDIS_PRIMARY,
        down_after_milliseconds=DOWN_AFTER_MILLISECONDS,
        failover_timeout_milliseconds=FAILOVER_TIMEOUT_MILLISECONDS,
        parallel_syncs=settings.redis.replicas,
    )


def services(settings: StackSettings) -> tuple[ServiceSpec, ...]:
    """A sentinel for each of the first nodes."""
    return tuple(_service(settings, slot) for slot in range(1, len(sentinels(settings)) + 1))


def _service(settings: StackSettings, slot: int) -> ServiceSpec:
    name = names.member(names.SENTINEL, slot)
    password = names.secret_path(names.REDIS_EXPORTER_PASSWORD)
    healthcheck = HealthcheckSpec(
        command=(
            "CMD-SHELL",
            # Docker forgets about a check that takes too long, but does not end it.
            f'test "$(REDISCLI_AUTH=$(cat {password}) timeout 4 redis-cli --no-auth-warning'
            f' --user {names.REDIS_EXPORTER_USERNAME} -p {names.SENTINEL_PORT} PING)" = PONG',
        ),
        timeout_seconds=10,
    )
    return ServiceSpec(
        name=name,
        image=names.REDIS,
        user=user(names.REDIS_UID),
        command=("sentinel-member",),
        placement=on_slot(slot),
        networks=(names.DATA,),
        dns_options=DNS_OPTIONS,
        env=MappingProxyType({**environment(settings, name), "PERIODS": _PERIODS}),
        configs=(ConfigMount(config=_CONFIG, target="/etc/pidea/sentinel.conf"),),
        secrets=secret_mounts(
            names.SENTINEL_ACL,
            names.REDIS_SENTINEL_PASSWORD,
            names.REDIS_EXPORTER_PASSWORD,
            names.REDIS_ADMIN_PASSWORD,
        ),
        volumes=(VolumeMount(volume=names.SENTINEL_DATA, target="/data"),),
        resources=ResourceSpec(cpu_limit=0.5, memory_limit_bytes=64 * MIB, memory_reservation_bytes=16 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )
