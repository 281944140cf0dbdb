"""Grafana, where an image of it is named: provisioned with the same dashboards, behind the same password.

It keeps nothing: data sources and dashboards come as files, and nobody can change them in a browser.
"""

from __future__ import annotations

from types import MappingProxyType

from infra import names
from infra.plan import dashboards
from infra.plan.shared import http_check, replace_in_place, user
from infra.plan.targets import members
from infra.render import config_from_template
from infra.settings import StackSettings
from infra.spec import MIB, ConfigMount, ConfigSpec, ResourceSpec, ServiceSpec, TmpfsMount

_SOURCES = "grafana-sources"
_PROVIDER = "grafana-provider"
_FOLDER = "/etc/pidea/dashboards"
_PROVISIONING = "/etc/grafana/provisioning"
_HOME = "overview"


def configs(settings: StackSettings) -> tuple[ConfigSpec, ...]:
    """Its data sources, and where its dashboards are; none where no image of it is named."""
    if names.GRAFANA not in settings.images:
        return ()
    prometheus = members(names.PROMETHEUS, settings.prometheus.replicas)[0]
    return (
        config_from_template(
            _SOURCES,
            "grafana-sources.yml.j2",
            prometheus_url=f"http://{names.physical(settings.instance, prometheus)}:{names.PROMETHEUS_PORT}/prometheus",
            jaeger_url=f"http://{names.physical(settings.instance, names.JAEGER)}:{names.JAEGER_QUERY_PORT}/jaeger",
            scrape_interval_seconds=settings.prometheus.scrape_interval_seconds,
        ),
        config_from_template(_PROVIDER, "grafana-provider.yml.j2", folder=_FOLDER),
    )


def services(settings: StackSettings) -> tuple[ServiceSpec, ...]:
    """One, or none."""
    if names.GRAFANA not in settings.images:
        return ()
    healthcheck = http_check(settings, names.GRAFANA, names.GRAFANA_PORT, "/grafana/api/health", 60)
    service = ServiceSpec(
        name=names.GRAFANA,
        image=names.GRAFANA,
        user=user(names.GRAFANA_UID),
        command=("grafana", "server", "--homepath=/usr/share/grafana"),
        networks=(names.TELEMETRY,),
        env=MappingProxyType(
            {
                "GF_SERVER_HTTP_PORT": str(names.GRAFANA_PORT),
                "GF_SERVER_ROOT_URL": f"{settings.edge.operator_url}/{names.GRAFANA}/",
                "GF_SERVER_SERVE_FROM_SUB_PATH": "true",
                # The edge has asked for the password already. Who is in may look and change nothing.
                "GF_AUTH_ANONYMOUS_ENABLED": "true",
                "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
                "GF_AUTH_BASIC_ENABLED": "false",
                "GF_AUTH_DISABLE_LOGIN_FORM": "true",
                "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
                "GF_ANALYTICS_REPORTING_ENABLED": "false",
                "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
                "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
                "GF_PLUGINS_PREINSTALL_DISABLED": "true",
                "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": f"{_FOLDER}/01-{_HOME}.json",
                "GF_PATHS_DATA": "/data",
                "GF_PATHS_PROVISIONING": _PROVISIONING,
                "GF_LOG_MODE": "console",
                "GF_LOG_CONSOLE_FORMAT": "json",
            }
        ),
        configs=(
            ConfigMount(config=_SOURCES, target=f"{_PROVISIONING}/datasources/pidea.yml"),
            ConfigMount(config=_PROVIDER, target=f"{_PROVISIONING}/dashboards/pidea.yml"),
            *dashboards.mounts(settings, _FOLDER),
        ),
        tmpfs=(
            TmpfsMount(target="/data", size_bytes=128 * MIB),
            TmpfsMount(target="/tmp", size_bytes=16 * MIB),  # noqa: S108 - in the container, in memory
        ),
        resources=ResourceSpec(cpu_limit=1.0, memory_limit_bytes=384 * MIB, memory_reservation_bytes=128 * MIB),
        healthcheck=healthcheck,
        update=replace_in_place(healthcheck),
    )
    return (service,)
