"""etcd: where Patroni's members agree on who is the primary. One member a node; a majority decides."""

from __future__ import annotations

from types import MappingProxyType

from infra import names
from infra.plan import networks
from infra.plan.shared import on_slot, replace_in_place, user
from infra.settings import StackSettings
from infra.spec import MIB, HealthcheckSpec, ResourceSpec, ServiceSpec, VolumeMount

_QUOTA_BYTES = 256 * MIB


def services(settings: StackSettings) -> tuple[ServiceSpec, ...]:
    """A member for each node."""
    return tuple(_member(settings, slot) for slot in range(1, settings.nodes + 1))


def _member(settings: StackSettings, slot: int) -> ServiceSpec:
    name = names.member(names.ETCD, slot)
    # Whether the process answers, not whether there is a majority: until it is healthy, its name is not in DNS, and
    # without names there would never be a majority.
    healthcheck = HealthcheckSpec(
        command=("CMD", "http-ok", str(names.ETCD_METRICS_PORT), "/metrics"),
        # A node that is too busy to check in time must not lose its member for it.
        timeout_seconds=10,
        retries=6,
        start_period_seconds=20,
    )
    return ServiceSpec(
        name=name,
        image=names.ETCD,
        user=user(names.ETCD_UID),
        has_hostname=True,
        placement=on_slot(slot),
        command=(
            "entrypoint",
            f"--initial-cluster-token={settings.instance}",
            # Few, small changes: Patroni's are bytes. An election is over before Patroni gives its primary up.
            "--heartbeat-interval=100",
            "--election-timeout=1000",
            "--pre-vote",
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=1h",
            f"--quota-backend-bytes={_QUOTA_BYTES}",
            "--enable-v2=false",
            # Figures and nothing else, for the telemetry network; clients and peers have the consensus network.
            f"--listen-metrics-urls=http://0.0.0.0:{names.ETCD_METRICS_PORT}",
            "--logger=zap",
        ),
        # A name is looked up on one network after the other in the order of their names, so members find one another on
        # the one that they listen on.
        networks=(names.CONSENSUS, names.TELEMETRY),
        env=MappingProxyType(
            {
                "MEMBER": names.physical(settings.instance, name),
                "CLUSTER": ",".join(_peer(settings, other) for other in range(1, settings.nodes + 1)),
                "SUBNET": networks.subnet(settings, names.CONSENSUS),
            }
        ),
        volumes=(VolumeMount(volume=names.ETCD_DATA, target="/data"),),
        resources=ResourceSpec(cpu_limit=1.0, memory_limit_bytes=512 * MIB, memory_reservation_bytes=64 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        stop_grace_period_seconds=15,
        converge_timeout_seconds=300,
    )


def _peer(settings: StackSettings, slot: int) -> str:
    host = names.physical(settings.instance, names.member(names.ETCD, slot))
    return f"{host}=http://{host}:{names.ETCD_PEER_PORT}"
