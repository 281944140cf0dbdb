"""Grafana comes up where an image of it is named, with the viewer's own dashboards and nothing that it would keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from tests.unit.infra.conftest import STACKS, read_config

IMAGE = f"docker.io/grafana/grafana@sha256:{'0' * 64}"


@pytest.fixture(params=STACKS)
def with_grafana(request: pytest.FixtureRequest) -> DeploymentPlan:
    config = {**read_config(str(request.param)), "pidea:images": {names.GRAFANA: IMAGE}}
    return build_plan(StackSettings.from_config(config))


def content(plan: DeploymentPlan, name: str) -> str:
    return next(config.content for config in plan.configs if config.name == name)


def mounted(plan: DeploymentPlan, service: str) -> dict[str, str]:
    """The dashboards of a service: name of the file, name of the config."""
    (found,) = (one for one in plan.services if one.name == service)
    return {Path(one.target).name: one.config for one in found.configs if one.config.startswith("dashboard-")}


def test_it_is_not_there_by_default(plan: DeploymentPlan) -> None:
    assert names.GRAFANA not in {service.name for service in plan.services}
    assert names.GRAFANA not in {image.name for image in plan.images}
    assert "grafana" not in content(plan, "haproxy-cfg")


def test_it_shows_what_the_viewer_shows(with_grafana: DeploymentPlan) -> None:
    shown = mounted(with_grafana, names.GRAFANA)
    assert len(shown) >= 13
    assert shown == mounted(with_grafana, names.DASHBOARDS)
    (service,) = (one for one in with_grafana.services if one.name == names.GRAFANA)
    home = Path(service.env["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert shown[home.name] == "dashboard-overview"
    (provider,) = yaml.safe_load(content(with_grafana, "grafana-provider"))["providers"]
    assert provider["options"]["path"] == str(home.parent)


def test_its_sources_are_those_that_the_dashboards_name(with_grafana: DeploymentPlan) -> None:
    sources = {one["uid"]: one for one in yaml.safe_load(content(with_grafana, "grafana-sources"))["datasources"]}
    asked = {
        target["datasource"]["uid"]
        for config in mounted(with_grafana, names.GRAFANA).values()
        for panel in json.loads(content(with_grafana, config))["panels"]
        for target in panel["targets"]
    }
    assert asked == {"prometheus"}
    assert set(sources) == {"prometheus", "jaeger"}
    services = {names.physical(with_grafana.instance, service.name): service for service in with_grafana.services}
    for source in sources.values():
        host = source["url"].removeprefix("http://").partition(":")[0]
        assert names.TELEMETRY in services[host].networks, source["url"]
    links = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert links == [{"name": "trace_id", "datasourceUid": "jaeger"}]


def test_it_is_behind_the_edges_password_and_keeps_nothing(with_grafana: DeploymentPlan) -> None:
    (service,) = (one for one in with_grafana.services if one.name == names.GRAFANA)
    assert (service.networks, service.ports, service.volumes) == ((names.TELEMETRY,), (), ())
    assert service.env["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert "backend grafana" in content(with_grafana, "haproxy-cfg")
    prometheus = next(config for config in with_grafana.configs if config.name.startswith("prometheus"))
    assert "grafana" in {job["job_name"] for job in yaml.safe_load(prometheus.content)["scrape_configs"]}
