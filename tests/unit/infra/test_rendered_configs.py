"""What is rendered, read by the programs that it is for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import names
from infra.credentials import haproxy_userlist
from infra.errors import RenderError
from infra.render import config_from_template, config_from_text, digest
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from tests.unit.infra.recording import certificate


def program(name: str, package: str) -> str:
    """A program's path; skips where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return found


def content(plan: DeploymentPlan, name: str) -> str:
    return next(config.content for config in plan.configs if config.name == name)


def load(plan: DeploymentPlan, name: str) -> Any:
    return yaml.safe_load(content(plan, name))


def prometheus_configs(plan: DeploymentPlan) -> dict[str, Any]:
    """Every Prometheus' configuration by the service's name."""
    found = [service.name for service in plan.services if service.image == names.PROMETHEUS]
    return {name: load(plan, f"{name}-yml") for name in found}


def run(*command: str | Path) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_a_template_that_needs_more_than_it_gets_is_an_error() -> None:
    with pytest.raises(RenderError, match=r"templates/redis\.conf\.j2: 'max_memory_mib' is undefined"):
        config_from_template("redis-conf", "redis.conf.j2")


def test_an_unknown_template_is_an_error() -> None:
    with pytest.raises(RenderError, match=r"templates/none\.j2"):
        config_from_template("x", "none.j2")


def test_digest_is_the_contents() -> None:
    assert config_from_text("a", "x").digest == config_from_text("b", "x").digest == digest("x")
    assert digest("x") != digest("y")
    assert len(digest("x")) == 12


def write_edge(plan: DeploymentPlan, folder: Path) -> None:
    """The edge's files, the secret ones too, at paths of this machine."""
    certificate_file = names.secret_path(names.EDGE_CERTIFICATE)
    config = content(plan, "haproxy-cfg").replace(certificate_file, str(folder / "certificate.pem"))
    (folder / "haproxy.cfg").write_text(config)
    (folder / "certificate.pem").write_text(certificate())
    (folder / "users").write_text(haproxy_userlist("only-for-this-test"))


def test_haproxy_accepts_its_configuration(plan: DeploymentPlan, tmp_path: Path) -> None:
    haproxy = program("haproxy", "haproxy")
    write_edge(plan, tmp_path)
    run(haproxy, "-c", "-f", tmp_path / "haproxy.cfg", "-f", tmp_path / "users")


def test_haproxy_refuses_a_broken_one(plan: DeploymentPlan, tmp_path: Path) -> None:
    haproxy = program("haproxy", "haproxy")
    write_edge(plan, tmp_path)
    config = tmp_path / "haproxy.cfg"
    config.write_text(config.read_text().replace("balance leastconn", "balance fairly"))
    with pytest.raises(AssertionError, match="balance only supports"):
        run(haproxy, "-c", "-f", tmp_path / "haproxy.cfg", "-f", tmp_path / "users")


def test_promtool_accepts_prometheus_configuration_and_rules(plan: DeploymentPlan, tmp_path: Path) -> None:
    promtool = program("promtool", "prometheus")
    for member, config in prometheus_configs(plan).items():
        # The same rules, at paths of this machine.
        for number, path in enumerate(config["rule_files"]):
            name = Path(path).stem
            config["rule_files"][number] = str(tmp_path / f"{name}.yml")
            (tmp_path / f"{name}.yml").write_text(content(plan, name))
        (tmp_path / f"{member}.yml").write_text(yaml.safe_dump(config))
        run(promtool, "check", "config", tmp_path / f"{member}.yml")


def test_prometheus_scrapes_every_exporter_by_the_names_of_its_tasks(
    plan: DeploymentPlan, settings: StackSettings
) -> None:
    services = {service.name: service for service in plan.services}
    for config in prometheus_configs(plan).values():
        assert config["global"]["scrape_interval"] == f"{settings.prometheus.scrape_interval_seconds}s"
        asked = {
            name.removeprefix(f"tasks.{plan.instance}-")
            for job in config["scrape_configs"]
            for name in job["dns_sd_configs"][0]["names"]
        }
        assert {name for name in asked if names.TELEMETRY not in services[name].networks} == set()
        # Everything that has figures of its own, and exporters for the two that have not.
        assert {services[name].image for name in services.keys() - asked} <= {names.REDIS, names.POSTGRES}


def test_replicas_of_prometheus_differ_in_their_name_alone_and_alerts_do_not_carry_it(plan: DeploymentPlan) -> None:
    configs = prometheus_configs(plan)
    replicas = {name: config["global"]["external_labels"].pop("replica", None) for name, config in configs.items()}
    one, *others = configs.values()
    assert all(config == one for config in others)
    if others:
        assert replicas == {name: name for name in configs}
        assert {"action": "labeldrop", "regex": "replica"} in one["alerting"]["alert_relabel_configs"]
    else:
        assert replicas == {names.PROMETHEUS: None}


def test_every_prometheus_sends_its_alerts_to_every_alertmanager(plan: DeploymentPlan) -> None:
    wanted = {f"tasks.{plan.instance}-{s.name}" for s in plan.services if s.image == names.ALERTMANAGER}
    for config in prometheus_configs(plan).values():
        (found,) = config["alerting"]["alertmanagers"]
        assert set(found["dns_sd_configs"][0]["names"]) == wanted


def test_every_rule_file_is_mounted_where_prometheus_looks(plan: DeploymentPlan) -> None:
    services = {service.name: service for service in plan.services}
    for name, config in prometheus_configs(plan).items():
        assert set(config["rule_files"]) <= {mount.target for mount in services[name].configs}


def test_every_alertmanager_knows_all_others(plan: DeploymentPlan) -> None:
    members = {s.name: s for s in plan.services if s.image == names.ALERTMANAGER}
    for name, service in members.items():
        peers = {part.removeprefix("--cluster.peer=") for part in service.command if "--cluster.peer=" in part}
        others = members.keys() - {name}
        assert peers == {f"{plan.instance}-{other}:{names.ALERTMANAGER_CLUSTER_PORT}" for other in others}


def test_amtool_accepts_alertmanagers_configuration(plan: DeploymentPlan, tmp_path: Path) -> None:
    amtool = program("amtool", "prometheus-alertmanager")
    (tmp_path / "alertmanager.yml").write_text(content(plan, "alertmanager-yml"))
    run(amtool, "check-config", tmp_path / "alertmanager.yml")


def test_alertmanager_configuration_routes_to_a_receiver_that_exists(plan: DeploymentPlan) -> None:
    config = load(plan, "alertmanager-yml")
    assert config["route"]["receiver"] in {receiver["name"] for receiver in config["receivers"]}


def test_jaeger_configuration_refers_to_what_it_defines(plan: DeploymentPlan, settings: StackSettings) -> None:
    config = load(plan, "jaeger-yaml")
    assert set(config["service"]["extensions"]) == set(config["extensions"])
    for kind in ("receivers", "processors", "exporters"):
        assert set(config["service"]["pipelines"]["traces"][kind]) == set(config[kind])
    badger = config["extensions"]["jaeger_storage"]["backends"]["badger"]["badger"]
    assert badger["ttl"]["spans"] == f"{settings.tracing.retention_hours}h"
    assert badger["ephemeral"] is False


def test_redis_is_a_cache_with_an_append_only_file(plan: DeploymentPlan, settings: StackSettings) -> None:
    lines = content(plan, "redis-conf").splitlines()
    for line in (
        f"maxmemory {settings.redis.max_memory_mib}mb",
        "maxmemory-policy allkeys-lru",
        "appendonly yes",
        "appendfsync everysec",
        f"aclfile {names.secret_path(names.REDIS_ACL)}",
    ):
        assert line in lines


def test_postgres_lets_nobody_in_without_a_password_over_the_network(plan: DeploymentPlan) -> None:
    entries = [line.split() for line in content(plan, "pg-hba-conf").splitlines() if line and line[0] != "#"]
    assert {entry[-1] for entry in entries if entry[0] != "local"} == {"scram-sha-256"}
    assert [entry for entry in entries if entry[0] == "local"] == [["local", "all", "postgres", "peer"]]
