"""The viewer of dashboards and traces. It keeps nothing and knows no secret: the edge asks for the password."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from infra import names
from infra.dashboards import Dashboard, dashboards
from infra.plan.shared import http_check, replace_beside, user
from infra.plan.targets import members
from infra.render import config_from_text
from infra.settings import StackSettings
from infra.spec import MIB, ConfigMount, ConfigSpec, ResourceSpec, ServiceSpec, TmpfsMount

BASE_PATH: Final = f"/{names.DASHBOARDS}/"
_FOLDER: Final = "/etc/pidea/dashboards"


def configs(settings: StackSettings) -> tuple[ConfigSpec, ...]:
    """Every dashboard, in a file of its own: Grafana reads the same."""
    return tuple(config_from_text(config_name(one), one.content) for one in dashboards(settings))


def config_name(dashboard: Dashboard) -> str:
    """What the config of a dashboard is called."""
    return f"dashboard-{dashboard.uid}"


def mounts(settings: StackSettings, folder: str) -> tuple[ConfigMount, ...]:
    """The dashboards as files; in the order of their names they are listed."""
    return tuple(
        ConfigMount(config=config_name(one), target=f"{folder}/{number:02d}-{one.uid}.json")
        for number, one in enumerate(dashboards(settings), start=1)
    )


def service(settings: StackSettings) -> ServiceSpec:
    """One, wherever there is room."""
    healthcheck = http_check(settings, names.DASHBOARDS, names.DASHBOARDS_PORT, f"{BASE_PATH}healthz", 20)

    def host(name: str) -> str:
        return names.physical(settings.instance, name)

    found = members(names.PROMETHEUS, settings.prometheus.replicas)
    return ServiceSpec(
        name=names.DASHBOARDS,
        image=names.DASHBOARDS,
        user=user(names.DASHBOARDS_UID),
        networks=(names.TELEMETRY,),
        env=MappingProxyType(
            {
                "PROMETHEUS_URL": ",".join(f"http://{host(one)}:{names.PROMETHEUS_PORT}/prometheus" for one in found),
                "JAEGER_URL": f"http://{host(names.JAEGER)}:{names.JAEGER_QUERY_PORT}/jaeger",
                "DASHBOARDS_FOLDER": _FOLDER,
                "BASE_PATH": BASE_PATH,
                "ENVIRONMENT": settings.environment,
                "SCRAPE_INTERVAL_SECONDS": str(settings.prometheus.scrape_interval_seconds),
                "PORT": str(names.DASHBOARDS_PORT),
            }
        ),
        configs=mounts(settings, _FOLDER),
        tmpfs=(TmpfsMount(target="/tmp", size_bytes=16 * MIB),),  # noqa: S108 - in the container, in memory
        resources=ResourceSpec(cpu_limit=0.5, memory_limit_bytes=160 * MIB, memory_reservation_bytes=64 * MIB),
        healthcheck=healthcheck,
        update=replace_beside(healthcheck),
    )
