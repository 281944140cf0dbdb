"""Limits, reservations, logs, and whether the whole fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pulumi_policy.proxy import UNKNOWN_NUMBER_VALUE, UNKNOWN_STRING_VALUE

from policies import environments
from policies.model import Finding, Severity, Status
from policies.rules.resources import RULES, replicas
from policies.view import NETWORK, SERVICE, View
from tests.policy.fixtures import SOUND, asked, asked_of_stack, changed, messages, view

MIB = 1024 * 1024
BY_ID = {rule.id: rule for rule in RULES}
LIMITS, RESERVATION = "taskSpec.resources.limits", "taskSpec.resources.reservation"
LOG, TMPFS = "taskSpec.logDriver", "taskSpec.containerSpec.mounts.1"
REMOTE = ["syslog", "fluentd"]


def found(rule: str, path: str, to: Any, **parameters: Any) -> list[str]:
    """What the rule says of the sound service with one thing changed."""
    return messages(asked(BY_ID[rule], view(changed(path, to)), **parameters))


def unknown(findings: list[Finding], path: str, resource: str = "service-redis") -> None:
    """Exactly that one thing could not be judged."""
    assert [(item.status, item.message, item.resource) for item in findings] == [
        (Status.UNKNOWN, f"cannot be judged until deployed: {path} is not known yet", resource)
    ]


def service(
    *,
    mode: Mapping[str, Any] | None = None,
    reserved_mib: float = 0,
    limit_mib: float = 0,
    processors: float = 0,
    most: int | None = None,
    name: str = "service-x",
) -> View:
    """A service of that size."""
    return view(
        {
            "mode": mode or {"replicated": {"replicas": 1}},
            "taskSpec": {
                "placement": {} if most is None else {"maxReplicas": most},
                "resources": {
                    "limits": {"memoryBytes": limit_mib * MIB},
                    "reservation": {"memoryBytes": reserved_mib * MIB, "nanoCpus": processors * 1e9},
                },
            },
        },
        name=name,
    )


def times(count: int) -> dict[str, Any]:
    return {"replicated": {"replicas": count}}


@pytest.mark.parametrize("rule", ["limits-set", "reserves-memory", "logs-bounded", "tmpfs-bounded"])
def test_a_sound_service_passes_and_other_types_are_not_judged(rule: str) -> None:
    assert asked(BY_ID[rule], view(SOUND)) == []
    assert asked(BY_ID[rule], view({}, type=NETWORK)) == []
    assert BY_ID[rule].types == (SERVICE,)


@pytest.mark.parametrize(
    ("rule", "severity", "parameters"),
    [
        ("limits-set", Severity.HIGH, set()),
        ("reserves-memory", Severity.MEDIUM, set()),
        ("logs-bounded", Severity.MEDIUM, {"max_mib", "remote_drivers"}),
        ("tmpfs-bounded", Severity.LOW, set()),
        (
            "fits-with-one-node-lost",
            Severity.HIGH,
            {"nodes", "node_memory_mib", "system_memory_mib", "node_cpus"},
        ),
        (
            "within-budget",
            Severity.LOW,
            {"nodes", "max_services", "max_memory_mib", "node_price_per_month", "max_cost_per_month"},
        ),
    ],
)
def test_what_a_rule_is(rule: str, severity: Severity, parameters: set[str]) -> None:
    assert BY_ID[rule].severity is severity
    assert set(BY_ID[rule].parameters) == parameters
    for schema in BY_ID[rule].parameters.values():
        assert schema["type"] == "array" or (schema["type"], schema["minimum"]) == ("number", 0)


def test_there_is_no_other_rule() -> None:
    assert len(RULES) == 6


# limits-set


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("memoryBytes", "may use all memory of the machine"),
        ("nanoCpus", "may use all processors of the machine"),
    ],
)
@pytest.mark.parametrize("value", [None, 0, -1])
def test_a_missing_limit_is_found(key: str, text: str, value: int | None) -> None:
    assert found("limits-set", f"{LIMITS}.{key}", value) == [text]


@pytest.mark.parametrize("key", ["memoryBytes", "nanoCpus"])
def test_the_smallest_limit_is_one(key: str) -> None:
    assert found("limits-set", f"{LIMITS}.{key}", 1) == []


@pytest.mark.parametrize("path", [LIMITS, "taskSpec.resources", "taskSpec"])
def test_without_any_limits_both_are_missing(path: str) -> None:
    assert found("limits-set", path, None) == [
        "may use all memory of the machine",
        "may use all processors of the machine",
    ]


def test_null_is_no_limit() -> None:
    props = changed(LIMITS, {"memoryBytes": None, "nanoCpus": 1})
    assert messages(asked(BY_ID["limits-set"], view(props))) == ["may use all memory of the machine"]


def test_the_memory_is_judged_before_the_processors_are_known() -> None:
    props = changed(LIMITS, {"nanoCpus": UNKNOWN_NUMBER_VALUE})
    first, second = asked(BY_ID["limits-set"], view(props))
    assert first.message == "may use all memory of the machine"
    unknown([second], f"{LIMITS}.nanoCpus")


# reserves-memory


@pytest.mark.parametrize("value", [None, 0, -1])
def test_nothing_reserved_is_found(value: int | None) -> None:
    assert found("reserves-memory", f"{RESERVATION}.memoryBytes", value) == [
        "reserves no memory, so that Swarm puts it where there is none"
    ]


@pytest.mark.parametrize(
    ("mib", "expected"),
    [
        (1, []),
        (256, []),
        (256.5, ["reserves 256.5 MiB, more than its limit of 256 MiB"]),
        (512, ["reserves 512 MiB, more than its limit of 256 MiB"]),
    ],
)
def test_more_than_the_limit_cannot_be_reserved(mib: float, expected: list[str]) -> None:
    assert found("reserves-memory", f"{RESERVATION}.memoryBytes", mib * MIB) == expected


@pytest.mark.parametrize(("limit", "says"), [(0, False), (1, True)])
def test_only_a_limit_that_is_there_is_compared(limit: int, says: bool) -> None:
    assert bool(found("reserves-memory", f"{LIMITS}.memoryBytes", limit)) is says


def test_a_reservation_that_is_not_known() -> None:
    props = changed(f"{RESERVATION}.memoryBytes", UNKNOWN_NUMBER_VALUE)
    unknown(asked(BY_ID["reserves-memory"], view(props)), f"{RESERVATION}.memoryBytes")


# logs-bounded


def logged(size: str | None = None, files: str | None = None, driver: str = "json-file") -> dict[str, Any]:
    options = {"max-size": size, "max-file": files}
    return {"name": driver, "options": {key: value for key, value in options.items() if value is not None}}


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize(
    ("size", "files", "kept"),
    [
        ("10m", "10", None),
        ("100m", "1", None),
        ("50MB", "2", None),
        ("102400k", "1", None),
        ("104857600", "1", None),
        ("104857601", "1", "100"),
        ("102401k", "1", "100.001"),
        ("101m", "1", "101"),
        ("34m", "3", "102"),
        ("1g", "1", "1024"),
    ],
)
def test_logs_are_bounded_by_size_times_files(driver: str, size: str, files: str, kept: str | None) -> None:
    expected = [f"keeps {kept} MiB of logs for each task"] if kept else []
    assert found("logs-bounded", LOG, logged(size, files, driver)) == expected


def test_the_bound_is_a_parameter() -> None:
    assert found("logs-bounded", LOG, logged("10m", "3"), max_mib=30) == []
    assert found("logs-bounded", LOG, logged("10m", "3"), max_mib=29) == ["keeps 30 MiB of logs for each task"]


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (None, "max-size and max-file"),
        ({}, "max-size and max-file"),
        ({"max-file": "3"}, "max-size"),
        ({"max-size": "10m"}, "max-file"),
    ],
)
def test_logs_without_both_bounds_grow(driver: str, options: Mapping[str, str] | None, missing: str) -> None:
    assert found("logs-bounded", LOG, {"name": driver, "options": options}) == [
        f"does not say how much of its logs is kept: {missing} not set"
    ]


@pytest.mark.parametrize(("size", "files"), [("0", "3"), ("10m", "0")])
def test_a_log_of_no_size_is_refused(size: str, files: str) -> None:
    assert found("logs-bounded", LOG, logged(size, files)) == ["has a log of size 0, which Docker refuses"]
    assert found("logs-bounded", LOG, logged("1", "1")) == []


@pytest.mark.parametrize("files", ["x", "", "-1", "1.5"])
def test_a_count_that_nobody_understands_does_not_pass(files: str) -> None:
    [finding] = asked(BY_ID["logs-bounded"], view(changed(LOG, logged("10m", files))))
    assert finding.message == f"cannot be read: {LOG}.options.max-file: {files!r} is not a number"


@pytest.mark.parametrize("driver", ["journald", "syslog"])
def test_another_driver_must_be_allowed(driver: str) -> None:
    assert found("logs-bounded", LOG, {"name": driver}) == [f"logs with {driver}, which nothing bounds"]
    assert found("logs-bounded", LOG, {"name": driver}, remote_drivers=["gelf"]) != []


@pytest.mark.parametrize("driver", REMOTE)
def test_an_allowed_driver_keeps_nothing_here(driver: str) -> None:
    assert found("logs-bounded", LOG, {"name": driver}, remote_drivers=REMOTE) == []


@pytest.mark.parametrize("value", [None, {}, {"name": None}])
def test_the_default_driver_is_the_machine_s(value: Any) -> None:
    assert found("logs-bounded", LOG, value) == ["logs with the default driver, which nothing bounds"]


@pytest.mark.parametrize("size", ["ten", "10x", "-1", "", "10m10"])
def test_a_size_that_nobody_understands_does_not_pass(size: str) -> None:
    [finding] = asked(BY_ID["logs-bounded"], view(changed(LOG, logged(size, "3"))))
    assert finding.status is Status.VIOLATION
    assert finding.message == f"cannot be read: {LOG}.options.max-size: {size!r} is not a size such as 10m"


@pytest.mark.parametrize("path", [f"{LOG}.name", f"{LOG}.options"])
def test_a_driver_that_is_not_known(path: str) -> None:
    unknown(asked(BY_ID["logs-bounded"], view(changed(path, UNKNOWN_STRING_VALUE))), path)


# tmpfs-bounded


@pytest.mark.parametrize("options", [None, {}, {"sizeBytes": None}, {"sizeBytes": 0}, {"sizeBytes": -1}, {"mode": 511}])
def test_memory_without_a_size_is_found(options: Any) -> None:
    assert found("tmpfs-bounded", f"{TMPFS}.tmpfsOptions", options) == ["has memory without a limit at /tmp"]


def test_the_smallest_size_is_one() -> None:
    assert found("tmpfs-bounded", f"{TMPFS}.tmpfsOptions", {"sizeBytes": 1}) == []


def test_every_mount_is_looked_at_but_volumes_have_no_size() -> None:
    mounts = [{"type": "tmpfs", "target": "/a"}, {"type": "volume", "target": "/b"}, {"type": "tmpfs", "target": "/c"}]
    assert found("tmpfs-bounded", "taskSpec.containerSpec.mounts", mounts) == [
        "has memory without a limit at /a",
        "has memory without a limit at /c",
    ]
    assert found("tmpfs-bounded", "taskSpec.containerSpec.mounts", None) == []


def test_a_size_that_is_not_known() -> None:
    props = changed(f"{TMPFS}.tmpfsOptions.sizeBytes", UNKNOWN_NUMBER_VALUE)
    path = "taskSpec.containerSpec.mounts[1].tmpfsOptions.sizeBytes"
    unknown(asked(BY_ID["tmpfs-bounded"], view(props)), path)


# replicas


@pytest.mark.parametrize(
    ("mode", "count"),
    [
        (None, 1),
        ({}, 1),
        ({"replicated": {}}, 1),
        ({"replicated": {"replicas": None}}, 1),
        ({"replicated": {"replicas": 0}}, 0),
        ({"replicated": {"replicas": 4}}, 4),
        ({"global": True}, 3),
        ({"global": False, "replicated": {"replicas": 4}}, 4),
    ],
)
def test_how_many_tasks_there_are(mode: Any, count: int) -> None:
    assert replicas(view({"mode": mode}), 3) == count


# fits-with-one-node-lost


def fits(*services: View, nodes: int = 3, **given: float) -> list[str]:
    sizes: dict[str, Any] = {"node_memory_mib": 1000, "system_memory_mib": 100, "node_cpus": 4, **given}
    return messages(asked_of_stack(BY_ID["fits-with-one-node-lost"], services, nodes=nodes, **sizes))


@pytest.mark.parametrize(
    ("nodes", "mib", "expected"),
    [
        (1, 900, None),
        (1, 901, "reserves 901 MiB, and on its node there are 900 MiB"),
        (2, 900, None),
        (2, 901, "reserves 901 MiB, and on 1 of 2 nodes there are 900 MiB"),
        (3, 1800, None),
        (3, 1801, "reserves 1,801 MiB, and on 2 of 3 nodes there are 1,800 MiB"),
    ],
)
def test_memory_must_fit_on_the_nodes_that_are_left(nodes: int, mib: int, expected: str | None) -> None:
    assert fits(service(reserved_mib=mib), nodes=nodes) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("nodes", "processors", "expected"),
    [
        (1, 4, None),
        (1, 4.5, "reserves 4.5 processors, and on its node there are 4"),
        (3, 8, None),
        (3, 8.25, "reserves 8.25 processors, and on 2 of 3 nodes there are 8"),
    ],
)
def test_processors_must_fit_too(nodes: int, processors: float, expected: str | None) -> None:
    assert fits(service(processors=processors), nodes=nodes) == ([expected] if expected else [])


def test_every_task_counts_and_services_add_up() -> None:
    assert fits(service(mode=times(4), reserved_mib=450), service()) == []
    assert fits(service(mode=times(4), reserved_mib=450), service(reserved_mib=1)) == [
        "reserves 1,801 MiB, and on 2 of 3 nodes there are 1,800 MiB"
    ]


def test_what_runs_once_a_node_is_not_moved() -> None:
    assert fits(service(mode=times(3), most=1, reserved_mib=900)) == []
    assert fits(service(mode={"global": True}, reserved_mib=900)) == []
    assert fits(service(mode={"global": True}, reserved_mib=901)) != []
    assert fits(service(mode=times(3), most=1, processors=4)) == []


def test_not_global_is_not_global() -> None:
    mode = {"global": False, "replicated": {"replicas": 3}}
    assert fits(service(mode=mode, reserved_mib=601)) == ["reserves 1,803 MiB, and on 2 of 3 nodes there are 1,800 MiB"]


def test_what_may_be_twice_on_a_node_is_moved() -> None:
    assert fits(service(mode=times(3), most=2, reserved_mib=900)) != []
    assert fits(service(mode=times(3), reserved_mib=900)) == [
        "reserves 2,700 MiB, and on 2 of 3 nodes there are 1,800 MiB"
    ]


def test_fewer_tasks_than_nodes_are_all_counted() -> None:
    assert fits(service(mode=times(1), most=1, reserved_mib=1800)) == []
    assert fits(service(mode=times(1), most=1, reserved_mib=1801)) != []


def test_memory_and_processors_can_both_be_short() -> None:
    assert len(fits(service(reserved_mib=5000, processors=50))) == 2


@pytest.mark.parametrize(
    ("mib", "processors", "expected"),
    [
        (7168, 2, []),
        (7169, 2, ["reserves 7,169 MiB, and on its node there are 7,168 MiB"]),
        (7168, 3, ["reserves 3 processors, and on its node there are 2"]),
    ],
)
def test_without_parameters_it_is_one_small_node(mib: int, processors: int, expected: list[str]) -> None:
    rule = BY_ID["fits-with-one-node-lost"]
    assert messages(asked_of_stack(rule, [service(reserved_mib=mib, processors=processors)])) == expected


def test_it_is_about_the_stack_and_services_only() -> None:
    [finding] = asked_of_stack(BY_ID["fits-with-one-node-lost"], [service(reserved_mib=9000)])
    assert (finding.resource, finding.urn, finding.status) == ("", "", Status.VIOLATION)
    assert asked_of_stack(BY_ID["fits-with-one-node-lost"], [view({}, type=NETWORK)]) == []
    assert asked_of_stack(BY_ID["fits-with-one-node-lost"], []) == []


def test_replicas_that_are_not_known() -> None:
    stack = [view(changed("mode.replicated.replicas", UNKNOWN_NUMBER_VALUE))]
    unknown(asked_of_stack(BY_ID["fits-with-one-node-lost"], stack), "mode.replicated.replicas", "")


# within-budget


def budget(*services: View, **given: float) -> list[str]:
    wide: dict[str, Any] = {"nodes": 3, "max_services": 9, "max_memory_mib": 9000}
    wide |= {"node_price_per_month": 0, "max_cost_per_month": 90, **given}
    return messages(asked_of_stack(BY_ID["within-budget"], services, **wide))


def test_services_are_counted() -> None:
    assert budget(service(), service(), max_services=2) == []
    assert budget(service(), service(), service(), max_services=2) == ["has 3 services, more than 2"]
    assert budget(service(), view({}, type=NETWORK), max_services=1) == []


@pytest.mark.parametrize(
    ("mode", "limit", "expected"),
    [
        (times(1), 9000, None),
        (times(1), 9001, "may use 9,001 MiB, more than 9,000"),
        (times(3), 3000, None),
        (times(3), 3001, "may use 9,003 MiB, more than 9,000"),
        ({"global": True}, 3000, None),
        ({"global": True}, 3001, "may use 9,003 MiB, more than 9,000"),
    ],
)
def test_the_limits_of_all_tasks_are_added(mode: dict[str, Any], limit: int, expected: str | None) -> None:
    assert budget(service(mode=mode, limit_mib=limit)) == ([expected] if expected else [])


def test_services_limits_add_up() -> None:
    assert budget(service(limit_mib=4500), service(limit_mib=4501)) == ["may use 9,001 MiB, more than 9,000"]


@pytest.mark.parametrize(
    ("price", "most", "expected"),
    [
        (30, 90, None),
        (31, 90, "costs about 93 a month, more than 90"),
        (500, 1499, "costs about 1,500 a month, more than 1,499"),
    ],
)
def test_machines_cost(price: int, most: int, expected: str | None) -> None:
    assert budget(node_price_per_month=price, max_cost_per_month=most) == ([expected] if expected else [])


def test_the_budget_without_parameters_is_said_too() -> None:
    assert messages(asked_of_stack(BY_ID["within-budget"], [service()] * 41)) == ["has 41 services, more than 40"]
    stack = [service(limit_mib=32769)]
    assert messages(asked_of_stack(BY_ID["within-budget"], stack)) == ["may use 32,769 MiB, more than 32,768"]


def test_without_parameters_the_budget_is_wide_and_machines_cost_nothing() -> None:
    rule = BY_ID["within-budget"]
    assert asked_of_stack(rule, [service(limit_mib=32768)] + [service()] * 39) == []
    # The default is one node.
    assert asked_of_stack(rule, [], node_price_per_month=90, max_cost_per_month=90) == []
    assert asked_of_stack(rule, [], node_price_per_month=91, max_cost_per_month=90) != []
    assert asked_of_stack(rule, [], node_price_per_month=10**9) == []


def test_everything_that_is_too_much_is_said() -> None:
    assert len(budget(service(limit_mib=9001), max_services=0, node_price_per_month=99)) == 3


def test_a_limit_that_is_not_known_hides_nothing_before_it() -> None:
    stack = [view(changed(f"{LIMITS}.memoryBytes", UNKNOWN_NUMBER_VALUE))]
    first, second = asked_of_stack(BY_ID["within-budget"], stack, max_services=0)
    assert first.message == "has 1 services, more than 0"
    unknown([second], f"{LIMITS}.memoryBytes", "")


# The environments


@pytest.mark.parametrize(("environment", "nodes", "processors"), [("staging", 1, 2), ("prod", 3, 4)])
def test_the_machines_of_an_environment(environment: str, nodes: int, processors: int) -> None:
    values = environments.parameters(BY_ID["fits-with-one-node-lost"], environment)
    assert (values["nodes"], values["node_memory_mib"], values["node_cpus"]) == (nodes, 8192, processors)
    assert values["system_memory_mib"] > 0
    assert environments.parameters(BY_ID["within-budget"], environment)["nodes"] == nodes
