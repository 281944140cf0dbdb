"""The node exporter: every machine's processor, memory and disk."""

from __future__ import annotations

from infra import names
from infra.plan.shared import ONE_PER_NODE, http_check, replace_in_place, user
from infra.settings import StackSettings
from infra.spec import MIB, HostMount, ResourceSpec, ServiceSpec


def service(settings: StackSettings) -> ServiceSpec:
    """One task on every node, which reads the machine's own files and writes none."""
    healthcheck = http_check(settings, names.NODE_EXPORTER, names.NODE_EXPORTER_PORT, "/", 10)
    return ServiceSpec(
        name=names.NODE_EXPORTER,
        image=names.NODE_EXPORTER,
        user=user(names.EXPORTER_UID),
        replicas=settings.nodes,
        placement=ONE_PER_NODE,
        command=(
            "prometheus-node-exporter",
            "--path.procfs=/host/proc",
            "--path.sysfs=/host/sys",
            "--path.rootfs=/host/root",
            "--no-collector.textfile",
            "--no-collector.udp_queues",
            "--log.format=json",
        ),
        networks=(names.TELEMETRY,),
        host_mounts=(
            HostMount(source="/proc", target="/host/proc"),
            HostMount(source="/sys", target="/host/sys"),
            HostMount(source="/", target="/host/root"),
        ),
        resources=ResourceSpec(cpu_limit=0.25, memory_limit_bytes=64 * MIB, memory_reservation_bytes=16 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )
