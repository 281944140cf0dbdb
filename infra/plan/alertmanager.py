"""Alertmanager: one, or a cluster with a member on a node of its own each."""

from __future__ import annotations

from infra import names
from infra.plan import receivers
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
    SecretForm,
    SecretMount,
    SecretRef,
    ServiceSpec,
    VolumeMount,
)

_CONFIG = "alertmanager-yml"
HEARTBEAT_ALERT = "PideaHeartbeat"
# Alone enough for the first alerts of a fault to come together: a page shall be there within 90 s.
_GROUP_WAIT_SECONDS = 10
# What a lost node brings about by itself, wherever the rest is well.
_GONE_WITH_A_NODE = (
    "PideaMembersMissing",
    "PideaTargetDown",
    "PideaServiceAbsent",
    "PideaAlertmanagersApart",
    "PideaRedisReplicaCutOff",
    "PideaRedisNotRepaired",
    "PideaSentinelMissing",
    "PideaPostgresMemberDown",
    "PideaTraceBufferFilling",
)


def config(settings: StackSettings) -> ConfigSpec:
    """Routes and receivers."""
    return config_from_template(
        _CONFIG,
        "alertmanager.yml.j2",
        receivers=receivers.configuration(settings.alertmanager),
        group_wait_seconds=_GROUP_WAIT_SECONDS,
        heartbeat_alert=HEARTBEAT_ALERT,
        gone_with_a_node=_GONE_WITH_A_NODE,
    )


def secrets(settings: StackSettings) -> tuple[SecretRef, ...]:
    """What receivers are told with, each a secret setting."""
    return tuple(SecretRef(name=name, form=SecretForm.RECEIVER) for name in settings.alertmanager.secrets)


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
        networks=(names.TELEMETRY, *((names.EGRESS,) if settings.alertmanager.receivers else ())),
        configs=(ConfigMount(config=_CONFIG, target="/etc/pidea/alertmanager.yml"),),
        secrets=tuple(
            SecretMount(secret=name, target=name, uid=names.ALERTMANAGER_UID) for name in settings.alertmanager.secrets
        ),
        volumes=(VolumeMount(volume=names.ALERTMANAGER_DATA, target="/data"),),
        resources=ResourceSpec(cpu_limit=0.5, memory_limit_bytes=128 * MIB, memory_reservation_bytes=32 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )
