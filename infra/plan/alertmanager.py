"""Alertmanager: one, or a cluster with a member on a node of its own each."""

from __future__ import annotations

from infra import names
from infra.plan.shared import http_check, on_slot, replace_in_place, user
from infra.plan.targets import members
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    ConfigSpec,
    PlacementSpec,
    ResourceSpec,
    ServiceSpec,
    VolumeMount,
)

_CONFIG = "alertmanager-yml"


def config() -> ConfigSpec:
    """Routes and receivers."""
    return config_from_template(_CONFIG, "alertmanager.yml.j2")


def services(settings: StackSettings) -> tuple[ServiceSpec, ...]:
    """The members. Each gets every alert from every Prometheus; among themselves they agree who tells it."""
    found = members(names.ALERTMANAGER, settings.alertmanager.replicas)
    if len(found) == 1:
        # One of them is no cluster; an empty address keeps it from looking for one.
        return (_service(settings, names.ALERTMANAGER, ("--cluster.listen-address=",), PlacementSpec()),)
    return tuple(
        _service(settings, name, _cluster(settings, [peer for peer in found if peer != name]), on_slot(slot))
        for slot, name in enumerate(found, start=1)
    )


def _cluster(settings: StackSettings, peers: list[str]) -> tuple[str, ...]:
    port = names.ALERTMANAGER_CLUSTER_PORT
    return (
        f"--cluster.listen-address=0.0.0.0:{port}",
        *(f"--cluster.peer={names.physical(settings.instance, peer)}:{port}" for peer in peers),
    )


def _service(settings: StackSettings, name: str, cluster: tuple[str, ...], placement: PlacementSpec) -> ServiceSpec:
    healthcheck = http_check(settings, names.ALERTMANAGER, names.ALERTMANAGER_PORT, "/alertmanager/-/ready", 15)
    return ServiceSpec(
        name=name,
        image=names.ALERTMANAGER,
        user=user(names.ALERTMANAGER_UID),
        placement=placement,
        command=(
            "prometheus-alertmanager",
            "--config.file=/etc/pidea/alertmanager.yml",
            "--storage.path=/data",
            "--web.route-prefix=/alertmanager",
            f"--web.external-url={settings.edge.operator_url}/alertmanager/",
            *cluster,
            "--log.format=json",
        ),
        networks=(names.TELEMETRY,),
        configs=(ConfigMount(config=_CONFIG, target="/etc/pidea/alertmanager.yml"),),
        volumes=(VolumeMount(volume=names.ALERTMANAGER_DATA, target="/data"),),
        resources=ResourceSpec(cpu_limit=0.5, memory_limit_bytes=128 * MIB, memory_reservation_bytes=32 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )
