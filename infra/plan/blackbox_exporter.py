"""The blackbox exporter: asks the edges for their certificates, as a client would."""

from __future__ import annotations

from infra import names
from infra.plan.shared import http_check, replace_beside, user
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import MIB, ConfigMount, ConfigSpec, ResourceSpec, ServiceSpec

_CONFIG = "blackbox-yml"


def configs(settings: StackSettings) -> tuple[ConfigSpec, ...]:
    """How it asks; none where no edge has a certificate."""
    return (config_from_template(_CONFIG, "blackbox.yml.j2"),) if settings.edge.tls else ()


def services(settings: StackSettings) -> tuple[ServiceSpec, ...]:
    """One, wherever there is room: it keeps nothing."""
    if not settings.edge.tls:
        return ()
    healthcheck = http_check(settings, names.BLACKBOX_EXPORTER, names.BLACKBOX_EXPORTER_PORT, "/-/healthy", 10)
    service = ServiceSpec(
        name=names.BLACKBOX_EXPORTER,
        image=names.BLACKBOX_EXPORTER,
        user=user(names.EXPORTER_UID),
        command=(
            "prometheus-blackbox-exporter",
            "--config.file=/etc/pidea/blackbox.yml",
            "--log.format=json",
        ),
        networks=(names.TELEMETRY,),
        configs=(ConfigMount(config=_CONFIG, target="/etc/pidea/blackbox.yml"),),
        resources=ResourceSpec(cpu_limit=0.25, memory_limit_bytes=64 * MIB, memory_reservation_bytes=16 * MIB),
        healthcheck=healthcheck,
        update=replace_beside(healthcheck),
    )
    return (service,)
