"""Patroni: PostgreSQL's members, one a node, which agree by etcd on who is the primary."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

from infra import names
from infra.plan.images import POSTGRES_MAJOR
from infra.plan.shared import on_slot, replace_in_place
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import MIB, ConfigMount, ConfigSpec, HealthcheckSpec, SecretMount, ServiceSpec, TmpfsMount

PASSWORDS = (
    names.POSTGRES_STANDBY_PASSWORD,
    names.POSTGRES_REWIND_PASSWORD,
    names.PATRONI_REST_PASSWORD,
)
_CONFIG = "patroni-yml"


def config(settings: StackSettings, *, conf_file: str, hba_file: str) -> ConfigSpec:
    """Patroni's configuration, the same for each member; `conf_file` and `hba_file` are the server's."""
    return config_from_template(
        _CONFIG,
        "patroni.yml.j2",
        instance=settings.instance,
        patroni_port=names.PATRONI_PORT,
        patroni_username=names.PATRONI_USERNAME,
        etcd_hosts=[
            names.physical(settings.instance, names.member(names.ETCD, slot)) for slot in range(1, settings.nodes + 1)
        ],
        etcd_port=names.ETCD_CLIENT_PORT,
        max_connections=settings.postgres.max_connections,
        postgres_port=names.POSTGRES_PORT,
        postgres_major=POSTGRES_MAJOR,
        conf_file=conf_file,
        hba_file=hba_file,
        standby_username=names.of_generation(names.POSTGRES_STANDBY_USERNAME, settings.secrets_version),
        rewind_username=names.of_generation(names.POSTGRES_REWIND_USERNAME, settings.secrets_version),
    )


def services(settings: StackSettings, server: ServiceSpec) -> tuple[ServiceSpec, ...]:
    """The members: each is `server` under Patroni, on a node of its own."""
    return tuple(_member(settings, server, slot) for slot in _slots(settings))


def _slots(settings: StackSettings) -> range:
    return range(1, settings.postgres.standbys + 2)


def _member(settings: StackSettings, server: ServiceSpec, slot: int) -> ServiceSpec:
    name = names.member(names.POSTGRES, slot)
    host = names.physical(settings.instance, name)
    etcd = names.physical(settings.instance, names.member(names.ETCD, slot))
    # Whether Patroni does its rounds, not whether the server runs: a standby that waits for a primary, or copies one,
    # must be left alone; and until it is healthy, its name is not in DNS. Patient: a node that is too busy to check in
    # time must not lose its member for it, and Patroni itself gives a primary up that it cannot keep.
    healthcheck = HealthcheckSpec(
        command=("CMD", "http-ok", str(names.PATRONI_PORT), "/liveness"),
        timeout_seconds=10,
        retries=6,
        start_period_seconds=45,
    )
    return dataclasses.replace(
        server,
        name=name,
        image=names.PATRONI,
        has_hostname=True,
        placement=on_slot(slot),
        networks=(names.DATA, names.CONSENSUS, names.TELEMETRY),
        env=MappingProxyType(
            {
                # Both are bound to the node of this slot; see images/patroni/patroni-member.
                "ETCD_BESIDE": f"http://{etcd}:{names.ETCD_CLIENT_PORT}",
                "GENERATION": str(settings.secrets_version),
                # Who may be a synchronous standby; see images/patroni/patroni-member.
                "MEMBERS": " ".join(names.member(names.POSTGRES, one) for one in _slots(settings)),
                "PATRONI_NAME": name,
                "PATRONI_RESTAPI_CONNECT_ADDRESS": f"{host}:{names.PATRONI_PORT}",
                "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"{host}:{names.POSTGRES_PORT}",
            }
        ),
        configs=(*server.configs, ConfigMount(config=_CONFIG, target="/etc/pidea/patroni.yml")),
        secrets=(
            *server.secrets,
            *(SecretMount(secret=name, target=name, uid=names.POSTGRES_UID) for name in PASSWORDS),
        ),
        tmpfs=(*server.tmpfs, TmpfsMount(target="/run/patroni", size_bytes=MIB)),
        resources=dataclasses.replace(
            server.resources,
            memory_limit_bytes=server.resources.memory_limit_bytes + 128 * MIB,
            memory_reservation_bytes=server.resources.memory_reservation_bytes + 64 * MIB,
        ),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        # Patroni's: it stops the server with a fast shutdown and hands the lock over.
        stop_signal="SIGTERM",
        converge_timeout_seconds=300,
    )
