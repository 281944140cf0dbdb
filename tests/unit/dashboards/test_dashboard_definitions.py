"""Every dashboard of both stacks: valid for Grafana, readable by the viewer, and about metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from app.telemetry.metrics import Metrics
from infra.dashboards import dashboards
from infra.plan import build_plan
from infra.settings import StackSettings
from ops.controller.metrics import Metrics as ControllerMetrics
from ops.controller.observation import Observation
from ops.dashboards import definitions
from ops.dashboards.definitions import Dashboard, Panel
from ops.dashboards.events import Events
from ops.dashboards.window import Window
from tests.unit.infra.conftest import STACKS, read_config

# Docker takes no larger config.
MOST_CONFIG_BYTES = 500_000
OF_CLUSTERS = re.compile(r"patroni_|etcd_|sentinel|pidea_controller_|probe_|redis_master_link_up|redis_connected_slave")
COLUMNS = 24
# Of the rules in infra/rules and templates: what they record has a colon in its name.
RECORDED = re.compile(r"\b[a-z]\w*:[\w:]+")
METRIC = re.compile(r"\bpidea_\w+")


@pytest.fixture(params=STACKS)
def settings(request: pytest.FixtureRequest) -> StackSettings:
    return StackSettings.from_config(read_config(str(request.param)))


@pytest.fixture
def folder(settings: StackSettings, tmp_path: Path) -> Path:
    """The dashboards as a container has them."""
    plan = build_plan(settings)
    (viewer,) = (service for service in plan.services if service.name == "dashboards")
    contents = {config.name: config.content for config in plan.configs}
    for mount in viewer.configs:
        (tmp_path / Path(mount.target).name).write_text(contents[mount.config])
    return tmp_path


@pytest.fixture
def pages(folder: Path) -> dict[str, Dashboard]:
    return definitions.load(folder)


def panels(pages: dict[str, Dashboard]) -> list[tuple[str, Panel]]:
    return [(f"{page.uid}: {panel.title}", panel) for page in pages.values() for panel in page.panels]


def expressions(pages: dict[str, Dashboard]) -> list[tuple[str, str]]:
    """Every query with the name of what shows it, as Prometheus gets it."""
    window = Window.parse("now-6h", "now", 1e9, 15)
    asked = [(name, target.expression) for name, panel in panels(pages) for target in panel.targets]
    asked += [(f"{page.uid}: {one.name}", one.expression) for page in pages.values() for one in page.annotations]
    return [(name, window.fill(expression)) for name, expression in asked]


def test_the_viewer_lists_what_is_defined_in_its_order(settings: StackSettings, pages: dict[str, Dashboard]) -> None:
    assert list(pages) == [one.uid for one in dashboards(settings)]
    assert next(iter(pages)) == "overview"
    assert len(pages) >= 13


def test_the_same_settings_make_the_same_dashboards(settings: StackSettings) -> None:
    assert dashboards(settings) == dashboards(settings)


def test_grafana_reads_them_as_they_were_meant(settings: StackSettings) -> None:
    for one in dashboards(settings):
        content = json.loads(one.content)
        read = GrafanaDashboard.from_json(content)
        again: dict[str, Any] = json.loads(json.dumps(read, cls=JSONEncoder))
        assert again == content, one.uid
        assert re.fullmatch(r"[a-z-]{2,40}", one.uid)
        assert len(one.content.encode()) < MOST_CONFIG_BYTES


def test_every_panel_says_what_it_shows_and_what_is_normal(pages: dict[str, Dashboard]) -> None:
    for name, panel in panels(pages):
        assert panel.title, name
        assert panel.text.endswith("."), name
        assert panel.unit, name
        assert panel.targets, name
        assert all(target.legend for target in panel.targets), name
    for page in pages.values():
        titles = [panel.title for panel in page.panels]
        assert len(set(titles)) == len(titles), page.uid
        assert page.text.endswith("."), page.uid


def test_panels_stand_beside_one_another_without_overlapping(settings: StackSettings) -> None:
    for one in dashboards(settings):
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(one.content)["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at.get("x", 0), at.get("x", 0) + at["w"])
                for y in range(at.get("y", 0), at.get("y", 0) + at["h"])
            }
            assert not taken & cells, f"{one.uid}: {panel['title']}"
            assert max(x for x, _ in cells) < COLUMNS, f"{one.uid}: {panel['title']}"
            taken |= cells


def test_prometheus_understands_every_query(pages: dict[str, Dashboard], tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    found = expressions(pages)
    rules = [{"record": f"query:{number}", "expr": query} for number, (_, query) in enumerate(found)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    path.write_text(path.read_text().replace("sum(", "summ(", 1))
    broken = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert broken.returncode != 0, "a broken query goes unnoticed"


def test_what_a_rule_must_record_is_recorded(settings: StackSettings, pages: dict[str, Dashboard]) -> None:
    recorded = {
        rule["record"]
        for config in build_plan(settings).configs
        if config.name.startswith(("rules-", "slo-", "watching-", "expected-"))
        for group in yaml.safe_load(config.content)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    asked = dict(expressions(pages))
    used = {found: name for name, query in asked.items() for found in RECORDED.findall(re.sub(r'"[^"]*"', "", query))}
    assert len(used) > 8
    assert {found: name for found, name in used.items() if found not in recorded} == {}


def test_our_own_metrics_are_there(pages: dict[str, Dashboard]) -> None:
    """Those that only appear with their first event too, which a stack that is new does not show."""
    controller = ControllerMetrics("repair")
    controller.looked(Observation(servers=(), sentinels=()), (), 0.0)
    exported = {
        f"{family.name}{ending}"
        for registry in (Metrics("1", "r", apdex_threshold_seconds=0.1).registry, controller.registry, Events())
        for family in registry.collect()
        for ending in ("", "_total", "_bucket", "_count", "_sum")
    }
    used = {
        metric: name
        for name, query in expressions(pages)
        for metric in METRIC.findall(RECORDED.sub("", query))
        if not metric.startswith("pidea_backup_")
    }
    assert len(used) > 25
    assert {metric: name for metric, name in used.items() if metric not in exported} == {}


def test_a_stack_of_one_node_has_no_panels_of_clusters(pages: dict[str, Dashboard], settings: StackSettings) -> None:
    found = {name for name, query in expressions(pages) if OF_CLUSTERS.search(query)}
    assert bool(found) == (settings.nodes > 1), found
