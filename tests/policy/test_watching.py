"""Whether what keeps data is backed up, and what runs is watched."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies.model import Finding, Status
from policies.rules import watching
from policies.view import CONFIG, VOLUME, View
from tests.policy.fixtures import asked_of_stack, messages, view

RULES = {rule.id: rule for rule in watching.RULES}
UNKNOWN = UNKNOWN_STRING_VALUE


def labels(component: str) -> list[dict[str, str]]:
    return [{"label": "dev.pidea.component", "value": component}]


def volume(component: str = "data", *, protect: bool = True, **props: Any) -> View:
    given = {"name": f"pidea-{component}", "labels": labels(component), **props}
    return view(given, VOLUME, f"volume-{component}", protect=protect)


def service(name: str, **container: Any) -> View:
    props = {"name": f"pidea-{name}", "labels": labels(name), "taskSpec": {"containerSpec": container}}
    return view(props, name=f"service-{name}")


def config(name: str, content: Any) -> View:
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    return view({"name": f"pidea-{name}", "data": base64.b64encode(text.encode()).decode()}, CONFIG, f"config-{name}")


def prometheus_yml(**jobs: str) -> View:
    """Each job asks one service."""
    scrapes = [{"job_name": job, "dns_sd_configs": [{"names": [f"tasks.pidea-{name}"]}]} for job, name in jobs.items()]
    return config("prometheus-yml", {"global": {}, "scrape_configs": scrapes})


def rules(*alerts: dict[str, Any], name: str = "rules") -> View:
    return config(name, {"groups": [{"name": "g", "rules": list(alerts)}]})


def alert(expr: str, **labels: str) -> dict[str, Any]:
    return {"alert": "Down", "expr": expr, "labels": labels}


def prometheus(*mounted: str) -> View:
    return service("prometheus", configs=[{"configName": f"pidea-{name}"} for name in mounted])


def found(rule: str, *resources: View, **parameters: Any) -> list[Finding]:
    return asked_of_stack(RULES[rule], resources, **parameters)


def said(rule: str, *resources: View, **parameters: Any) -> list[tuple[str, str]]:
    findings = found(rule, *resources, **parameters)
    assert {finding.status for finding in findings} <= {Status.VIOLATION}
    return [(finding.resource, finding.message) for finding in findings]


def unknown(what: str) -> str:
    return f"cannot be judged until deployed: {what} is not known yet"


def test_these_are_the_rules() -> None:
    assert list(RULES) == ["volumes-protected", "volumes-backed-up", "services-scraped", "services-alerted"]
    assert list(RULES["volumes-backed-up"].parameters) == ["disposable"]
    assert RULES["volumes-backed-up"].parameters["disposable"]["type"] == "array"
    assert RULES["volumes-backed-up"].parameters["disposable"]["items"] == {"type": "string"}
    assert list(RULES["services-scraped"].parameters) == ["exporters"]
    assert RULES["services-scraped"].parameters["exporters"]["type"] == "object"


@pytest.mark.parametrize("rule", RULES)
def test_an_empty_stack_passes(rule: str) -> None:
    assert said(rule) == []


def test_volumes_are_protected() -> None:
    text = "can be removed with everything in it by a mistake in the program"
    assert said("volumes-protected", volume("a"), volume("b", protect=False), volume("c", protect=False)) == [
        ("volume-b", text),
        ("volume-c", text),
    ]
    # Whatever is not known of it.
    assert said("volumes-protected", volume("a", protect=False, name=UNKNOWN)) == [("volume-a", text)]
    assert said("volumes-protected", service("app")) == []


NO_BACKUP = [("volume-data", "is in no backup")]


def mount(source: str, kind: str = "volume") -> dict[str, Any]:
    return {"type": kind, "source": source, "target": "/data"}


def test_without_a_backup_every_volume_is_told() -> None:
    assert said("volumes-backed-up", volume("a"), volume("b"), service("app")) == [
        ("volume-a", "is in no backup"),
        ("volume-b", "is in no backup"),
    ]


@pytest.mark.parametrize(
    "listed", ["data", "pidea-data", "other,data", "data,other", "other, data", "other data", "other,\n data\n"]
)
def test_a_volume_that_a_job_lists(listed: str) -> None:
    job = service("backup", env={"BACKUP_VOLUMES": listed})
    assert said("volumes-backed-up", volume(), job) == []


@pytest.mark.parametrize("listed", ["", ",", "dat", "data-2", "other", "volume-data"])
def test_a_volume_that_no_job_lists(listed: str) -> None:
    assert said("volumes-backed-up", volume(), service("backup", env={"BACKUP_VOLUMES": listed})) == NO_BACKUP


def test_a_volume_is_known_without_its_label_by_another_manager() -> None:
    unlabelled = view({"name": "pidea-data"}, VOLUME, "volume-data", protect=True)
    assert said("volumes-backed-up", unlabelled, service("backup", env={"BACKUP_VOLUMES": "data"})) == []
    assert said("volumes-backed-up", unlabelled, service("backup", env={"BACKUP_VOLUMES": "other"})) == NO_BACKUP


@pytest.mark.parametrize("container", [{}, {"env": None}, {"env": {}}, {"env": {"VOLUMES": "data"}}, {"mounts": []}])
def test_a_job_that_names_nothing(container: dict[str, Any]) -> None:
    assert said("volumes-backed-up", volume(), service("backup", **container)) == NO_BACKUP


def test_a_volume_that_a_job_mounts() -> None:
    assert said("volumes-backed-up", volume(), service("backup-files", mounts=[mount("pidea-data")])) == []
    assert said("volumes-backed-up", volume(), service("backup", mounts=[mount("pidea-other")])) == NO_BACKUP
    assert said("volumes-backed-up", volume(), service("backup", mounts=[mount("pidea-data", "bind")])) == NO_BACKUP


def test_a_volume_without_a_name_is_no_empty_mount() -> None:
    job = service("backup", env={"BACKUP_VOLUMES": ""}, mounts=[mount("pidea-other")])
    assert said("volumes-backed-up", view({"labels": labels("data")}, VOLUME, "volume-data"), job) == NO_BACKUP


@pytest.mark.parametrize("name", ["app", "my-backup"])
def test_what_is_no_job_backs_nothing_up(name: str) -> None:
    other = service(name, env={"BACKUP_VOLUMES": "data"}, mounts=[mount("pidea-data")])
    assert said("volumes-backed-up", volume(), other) == NO_BACKUP


def test_several_jobs_share_the_work() -> None:
    jobs = (service("backup-a", env={"BACKUP_VOLUMES": "a"}), service("backup-b", mounts=[mount("pidea-b")]))
    assert said("volumes-backed-up", volume("a"), volume("b"), volume("c"), *jobs) == [("volume-c", "is in no backup")]


def test_what_nobody_misses_needs_no_backup() -> None:
    assert said("volumes-backed-up", volume(), disposable=["data"]) == []
    assert said("volumes-backed-up", volume(), disposable=["other"]) == NO_BACKUP
    assert said("volumes-backed-up", volume(), disposable=[]) == NO_BACKUP


def test_what_is_listed_is_judged_though_mounts_are_unknown() -> None:
    job = service("backup", env={"BACKUP_VOLUMES": "data", "OTHER": UNKNOWN}, mounts=[mount(UNKNOWN)])
    assert said("volumes-backed-up", volume(name=UNKNOWN), job) == []
    findings = found("volumes-backed-up", volume("other"), job)
    assert [(item.status, item.message) for item in findings] == [
        (Status.UNKNOWN, unknown("taskSpec.containerSpec.mounts[0].source"))
    ]
    findings = found("volumes-backed-up", volume("other"), service("backup", env=UNKNOWN))
    assert messages(findings) == [unknown("taskSpec.containerSpec.env")]


NOBODY = "is asked for metrics by nobody"


def test_services_are_scraped() -> None:
    stack = (service("app"), service("edge"))
    assert said("services-scraped", *stack, prometheus_yml(app="app", edge="edge")) == []
    assert said("services-scraped", *stack, prometheus_yml(app="app")) == [("service-edge", NOBODY)]
    assert said("services-scraped", *stack, prometheus_yml(edge="app-2")) == [
        ("service-app", NOBODY),
        ("service-edge", NOBODY),
    ]
    assert said("services-scraped", *stack) == [("service-app", NOBODY), ("service-edge", NOBODY)]


def scrape(**given: Any) -> View:
    return config("prometheus-yml", {"scrape_configs": [{"job_name": "j", **given}]})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"dns_sd_configs": [{"names": ["x", "tasks.pidea-app"]}]}, []),
        ({"dns_sd_configs": [{"names": ["x"]}, {"names": ["pidea-app"]}]}, []),
        ({"static_configs": [{"targets": ["x:1", "pidea-app:8080"]}]}, []),
        ({"static_configs": [{"targets": ["pidea-app"]}]}, []),
        ({"static_configs": [{"targets": ["tasks.pidea-app:8080"]}]}, []),
        ({"static_configs": [{"targets": ["pidea-application:8080"]}]}, [("service-app", NOBODY)]),
        ({"dns_sd_configs": [{"names": ["other.pidea-app"]}]}, [("service-app", NOBODY)]),
        ({"dns_sd_configs": None, "static_configs": []}, [("service-app", NOBODY)]),
        ({"dns_sd_configs": [{}], "static_configs": [{}]}, [("service-app", NOBODY)]),
        ({}, [("service-app", NOBODY)]),
    ],
)
def test_how_a_target_is_named(given: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert said("services-scraped", service("app"), scrape(**given)) == expected


def test_an_exporter_speaks_for_what_it_exports() -> None:
    stack = (service("redis"), service("redis-exporter"))
    scraped = prometheus_yml(redis="redis-exporter")
    exporters = {"redis": "redis-exporter"}
    assert said("services-scraped", *stack, scraped, exporters=exporters) == []
    assert said("services-scraped", *stack, scraped) == [("service-redis", NOBODY)]
    assert said("services-scraped", *stack, scraped, exporters={"redis": "other"}) == [("service-redis", NOBODY)]
    assert said("services-scraped", service("redis"), scraped, exporters=exporters) == [("service-redis", NOBODY)]
    unscraped = [("service-redis", NOBODY), ("service-redis-exporter", NOBODY)]
    assert said("services-scraped", *stack, exporters=exporters) == unscraped


@pytest.mark.parametrize(
    "content", ["scrape_configs: [", "- scrape_configs", "scrape_configs", "", "a: 2026-02-30", "a: !x b", {"a": 1}]
)
def test_what_is_not_prometheus_scrapes_nothing(content: Any) -> None:
    assert said("services-scraped", service("app"), config("other", content)) == [("service-app", NOBODY)]
    scraped = prometheus_yml(app="app")
    assert said("services-scraped", service("app"), config("other", content), scraped) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"scrape_configs": 3}, "config-x.scrape_configs is not a list"),
        ({"scrape_configs": ["x"]}, "config-x.scrape_configs[0] is not an object"),
        (
            {"scrape_configs": [{"dns_sd_configs": [{"names": [1]}]}]},
            "config-x.scrape_configs[0].dns_sd_configs[0].names[0] is not a text",
        ),
        (
            {"scrape_configs": [{"static_configs": [{"targets": "x"}]}]},
            "config-x.scrape_configs[0].static_configs[0].targets is not a list",
        ),
    ],
)
def test_a_configuration_that_nobody_understands(content: Any, problem: str) -> None:
    expected = [("", f"cannot be read: {problem}")]
    assert said("services-scraped", service("app"), config("x", content)) == expected


def test_an_empty_list_of_jobs_scrapes_nothing() -> None:
    stack = (service("app"), config("x", {"scrape_configs": None}))
    assert said("services-scraped", *stack) == [("service-app", NOBODY)]


@pytest.mark.parametrize("rule", ["services-scraped", "services-alerted"])
def test_an_unknown_config_cannot_be_judged(rule: str) -> None:
    hidden = view({"data": UNKNOWN}, CONFIG, "config-x")
    assert messages(found(rule, service("app"), hidden)) == [unknown("data")]


SCRAPED = (prometheus_yml(app="app"), service("app"))
SILENT = [("service-app", "has no alert that tells when the job app is down")]


@pytest.mark.parametrize(
    ("given", "covered"),
    [
        (alert("up == 0"), True),
        (alert("up==0"), True),
        (alert(" up\n  == 0\n"), True),
        (alert("up == 1"), False),
        (alert("up == 0 and x"), False),
        (alert("pg_up == 0"), False),
        (alert('absent(up{job="app"} == 1)'), True),
        (alert("absent(up{job='app'})"), True),
        (alert('up{job = "app"} == 0'), True),
        (alert('up{job="edge"} == 0 or up{job="app"} == 0'), True),
        (alert('up{job="application"} == 0'), False),
        (alert('up{job!="app"} == 0'), False),
        (alert('up{other_job="app"} == 0'), False),
        (alert('up{job="a.*"} == 0'), False),
        (alert('up{job=~"edge|app"} == 0'), True),
        (alert('up{job=~"a.*"} == 0'), True),
        (alert('up{job=~"a"} == 0'), False),
        (alert('up{job=~"("} == 0'), False),
        (alert("x > 1", service="app"), True),
        (alert("x > 1", service="edge"), False),
        (alert("sum by (job) (up)"), False),
        ({"record": "x", "expr": "up == 0"}, False),
        ({"alert": "Down"}, False),
        ({"alert": "Down", "expr": "x", "labels": None}, False),
    ],
)
def test_what_covers_a_job(given: dict[str, Any], covered: bool) -> None:
    expected = [] if covered else SILENT
    assert said("services-alerted", *SCRAPED, rules(given), prometheus("rules")) == expected


def test_a_job_is_covered_by_the_service_that_it_asks() -> None:
    stack = (prometheus_yml(node="node-exporter"), service("node-exporter"), prometheus("rules"))
    assert said("services-alerted", *stack, rules(alert("x", service="node-exporter"))) == []
    assert said("services-alerted", *stack, rules(alert("x", service="node"))) == []
    assert said("services-alerted", *stack, rules(alert("x", service="other"))) == [
        ("service-node-exporter", "has no alert that tells when the job node is down")
    ]


def test_every_job_is_told_in_order() -> None:
    stack = (prometheus_yml(b="edge", a="app", c="gone"), service("app"), service("edge"), prometheus("rules"))
    assert said("services-alerted", *stack, rules(alert('up{job="b"} == 0'))) == [
        ("service-app", "has no alert that tells when the job a is down"),
        ("", "has no alert that tells when the job c is down"),
    ]


def test_two_jobs_may_ask_one_service() -> None:
    stack = (prometheus_yml(a="app", b="app"), service("app"), prometheus("rules"))
    assert said("services-alerted", *stack, rules(alert('up{job="b"} == 0'))) == [
        ("service-app", "has no alert that tells when the job a is down")
    ]


def test_without_rules_there_are_no_alerts() -> None:
    assert said("services-alerted", *SCRAPED) == SILENT
    assert said("services-alerted", *SCRAPED, config("rules", {"groups": None}), prometheus("rules")) == SILENT
    empty = config("rules", {"groups": [{"name": "g", "rules": None}]})
    assert said("services-alerted", *SCRAPED, empty, prometheus("rules")) == SILENT


def test_alerts_of_all_rules_count() -> None:
    both = (rules(alert("x"), name="r1"), rules(alert("x"), alert("up == 0"), name="r2"))
    assert said("services-alerted", *SCRAPED, *both, prometheus("r1", "r2")) == []


UNMOUNTED = "is not mounted by Prometheus, so that its alerts never fire"


def test_rules_that_prometheus_does_not_mount() -> None:
    both = (rules(alert("up == 0"), name="r1"), rules(alert("x"), name="r2"))
    assert said("services-alerted", *SCRAPED, *both, prometheus("r1")) == [("config-r2", UNMOUNTED)]
    none = [("config-r1", UNMOUNTED), ("config-r2", UNMOUNTED)]
    assert said("services-alerted", *SCRAPED, *both, prometheus()) == none
    assert said("services-alerted", *SCRAPED, *both) == none
    elsewhere = service("app-2", configs=[{"configName": "pidea-r1"}, {"configName": "pidea-r2"}])
    assert said("services-alerted", *SCRAPED, *both, elsewhere) == none


def test_what_is_certain_comes_before_unknown_mounts() -> None:
    hidden = service("prometheus", configs=[{"configName": UNKNOWN}])
    findings = found("services-alerted", *SCRAPED, rules(alert("x")), hidden)
    assert [(item.status, item.message) for item in findings] == [
        (Status.VIOLATION, SILENT[0][1]),
        (Status.UNKNOWN, unknown("taskSpec.containerSpec.configs[0].configName")),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"groups": "x"}, "config-x.groups is not a list"),
        ({"groups": ["x"]}, "config-x.groups[0] is not an object"),
        ({"groups": [{"rules": [3]}]}, "config-x.groups[0].rules[0] is not an object"),
        ({"groups": [{"rules": [{"alert": "A", "expr": []}]}]}, "config-x.groups[0].rules[0].expr is not a text"),
    ],
)
def test_rules_that_nobody_understands(content: Any, problem: str) -> None:
    assert said("services-alerted", *SCRAPED, config("x", content)) == [("", f"cannot be read: {problem}")]


EXPORTERS = {"redis": "redis-exporter"}


def test_members_are_asked_by_their_clusters_exporters() -> None:
    stack = (service("redis-1"), service("redis-2"), service("redis-exporter-1"))
    scraped = prometheus_yml(redis="redis-exporter-1")
    assert said("services-scraped", *stack, scraped, exporters=EXPORTERS) == []
    nobody = [("service-redis-1", NOBODY), ("service-redis-2", NOBODY), ("service-redis-exporter-1", NOBODY)]
    assert said("services-scraped", *stack, prometheus_yml(app="app"), exporters=EXPORTERS) == nobody


def test_rules_may_be_mounted_by_any_prometheus() -> None:
    watcher = service("prometheus-2", configs=[{"configName": "pidea-rules"}])
    assert said("services-alerted", *SCRAPED, rules(alert("up == 0")), watcher) == []
