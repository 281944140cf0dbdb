"""HAProxy: the one way in. Users on one port, operators behind a password on another."""

from __future__ import annotations

from infra import names
from infra.plan import dashboards
from infra.plan.shared import ONE_PER_NODE, http_check, replace_in_place, user
from infra.plan.targets import members
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import (
    MIB,
    ConfigMount,
    PortSpec,
    ResourceSpec,
    SecretForm,
    SecretMount,
    SecretRef,
    ServiceSpec,
    SubsystemSpec,
)

_CONFIG = "haproxy-cfg"
# A replica keeps its place for 45 s after its name is gone (`hold obsolete`): an update and the one that takes it
# back need three at once, and replicas that fail ten seconds after each start need five.
_PLACES_PER_REPLICA = 8


def _operator_backends(settings: StackSettings) -> tuple[tuple[str, tuple[str, ...], int, str], ...]:
    """Page, services that show it, port, and the path that answers 200 while it can be shown."""
    prometheus = members(names.PROMETHEUS, settings.prometheus.replicas)
    alertmanager = members(names.ALERTMANAGER, settings.alertmanager.replicas)
    return (
        (names.PROMETHEUS, prometheus, names.PROMETHEUS_PORT, "/prometheus/-/healthy"),
        (names.ALERTMANAGER, alertmanager, names.ALERTMANAGER_PORT, "/alertmanager/-/healthy"),
        (names.JAEGER, (names.JAEGER,), names.JAEGER_QUERY_PORT, "/jaeger/api/services"),
        (names.DASHBOARDS, (names.DASHBOARDS,), names.DASHBOARDS_PORT, f"{dashboards.BASE_PATH}healthz"),
        *(
            [(names.GRAFANA, (names.GRAFANA,), names.GRAFANA_PORT, "/grafana/api/health")]
            if names.GRAFANA in settings.images
            else []
        ),
    )


def plan(settings: StackSettings) -> SubsystemSpec:
    """One task on every node, in host mode; on a one-node swarm that is one."""

    def host(service: str) -> str:
        return names.physical(settings.instance, service)

    config = config_from_template(
        _CONFIG,
        "haproxy.cfg.j2",
        public_port=names.EDGE_PUBLIC_PORT,
        operator_port=names.EDGE_OPERATOR_PORT,
        metrics_port=names.EDGE_METRICS_PORT,
        certificate=names.secret_path(names.EDGE_CERTIFICATE) if settings.edge.tls else None,
        app_host=host(names.APP),
        app_port=names.APP_PORT,
        app_slots=settings.app.replicas * _PLACES_PER_REPLICA,
        operator_backends=[
            (page, [(member, host(member)) for member in found], port, check_path)
            for page, found, port, check_path in _operator_backends(settings)
        ],
    )
    secrets = (
        SecretRef(name=names.OPERATOR_PASSWORD),
        SecretRef(name=names.EDGE_USERS, form=SecretForm.HAPROXY_USERLIST, sources=(names.OPERATOR_PASSWORD,)),
        *([SecretRef(name=names.EDGE_CERTIFICATE, form=SecretForm.EDGE_CERTIFICATE)] if settings.edge.tls else []),
    )
    healthcheck = http_check(settings, names.HAPROXY_IMAGE, names.EDGE_METRICS_PORT, "/healthz", 10)
    service = ServiceSpec(
        name=names.EDGE,
        image=names.HAPROXY_IMAGE,
        user=user(names.EDGE_UID),
        replicas=settings.nodes,
        placement=ONE_PER_NODE,
        command=(
            "haproxy",
            "-W",
            "-db",
            "-f",
            "/etc/pidea/haproxy.cfg",
            "-f",
            names.secret_path(names.EDGE_USERS),
        ),
        networks=(names.PUBLIC, names.WEB, names.TELEMETRY),
        configs=(ConfigMount(config=_CONFIG, target="/etc/pidea/haproxy.cfg"),),
        secrets=tuple(
            SecretMount(secret=secret.name, target=secret.name, uid=names.EDGE_UID)
            for secret in secrets
            if secret.form is not SecretForm.RANDOM
        ),
        ports=(
            PortSpec(published=settings.edge.port, target=names.EDGE_PUBLIC_PORT),
            PortSpec(published=settings.edge.operator_port, target=names.EDGE_OPERATOR_PORT),
        ),
        # A connection with TLS keeps about twice as much.
        resources=ResourceSpec(
            cpu_limit=1.0,
            memory_limit_bytes=(512 if settings.edge.tls else 256) * MIB,
            memory_reservation_bytes=64 * MIB,
        ),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
        # Soft stop: finish what is in flight, take no more.
        stop_signal="SIGUSR1",
        # Longer than HAProxy's own hard-stop-after, so that it ends by itself.
        stop_grace_period_seconds=25,
    )
    return SubsystemSpec(
        name=names.EDGE,
        services=(service,),
        configs=(config,),
        secrets=secrets,
    )
