"""Rules about what a container may do to the machine."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from pulumi_policy.deserialize import serialize_properties
from pulumi_policy.proxy import UNKNOWN_OBJECT_VALUE, UNKNOWN_STRING_VALUE
from pulumi_policy.secret import Secret, secrets_preserving_proxy

from policies.environments import PARAMETERS
from policies.model import Finding, Rule, Severity, Status
from policies.rules import containers
from policies.view import CONTAINER, SERVICE, VOLUME
from tests.policy.fixtures import SOUND, asked, changed, messages, view

RULE: Mapping[str, Rule] = {rule.id: rule for rule in containers.RULES}
SPEC = "taskSpec.containerSpec"

# A container that no rule of the module objects to.
CONTAINED: Mapping[str, Any] = {
    "name": "one-off",
    "image": "sha256:" + "b" * 64,
    "user": "10001:10001",
    "readOnly": True,
    "capabilities": {"drops": ["ALL"]},
    "securityOpts": ["no-new-privileges:true"],
    "mounts": [{"type": "volume", "source": "data", "target": "/data"}],
    "restart": "on-failure",
    "maxRetryCount": 5,
}
DATA: Mapping[str, Any] = {"name": "data", "driver": "local"}


def of_service(rule: str, path: str, to: Any, **parameters: Any) -> list[Finding]:
    return asked(RULE[rule], view(changed(f"{SPEC}.{path}", to)), **parameters)


def of_container(rule: str, path: str, to: Any, **parameters: Any) -> list[Finding]:
    return asked(RULE[rule], view(changed(path, to, CONTAINED), CONTAINER, "one-off"), **parameters)


def of_both(rule: str, path: str, to: Any) -> list[list[str]]:
    return [messages(of_service(rule, path, to)), messages(of_container(rule, path, to))]


def only_unknown(findings: list[Finding], path: str) -> None:
    assert [finding.status for finding in findings] == [Status.UNKNOWN]
    assert findings[0].message == f"cannot be judged until deployed: {path} is not known yet"


# --- all of them ---


@pytest.mark.parametrize("rule", RULE.values(), ids=lambda rule: rule.id)
def test_what_is_sound_passes(rule: Rule) -> None:
    assert asked(rule, view(SOUND)) == []
    assert asked(rule, view(CONTAINED, CONTAINER)) == []
    assert asked(rule, view(DATA, VOLUME)) == []


def test_these_are_the_rules() -> None:
    service, container, both, volume = (SERVICE,), (CONTAINER,), (SERVICE, CONTAINER), (SERVICE, CONTAINER, VOLUME)
    assert service != container
    assert {
        rule.id: (
            rule.types,
            rule.severity,
            [reference.removeprefix("CIS Docker 1.6: ") for reference in rule.references],
        )
        for rule in containers.RULES
    } == {
        "runs-as-non-root": (both, Severity.HIGH, ["4.1"]),
        "drops-capabilities": (both, Severity.HIGH, ["5.4"]),
        "read-only-root": (both, Severity.MEDIUM, ["5.13"]),
        "not-privileged": (container, Severity.CRITICAL, ["5.5"]),
        "no-engine-socket": (volume, Severity.CRITICAL, ["5.32"]),
        "no-writable-host-folders": (volume, Severity.HIGH, ["5.6"]),
        "no-shared-propagation": (both, Severity.MEDIUM, ["5.20"]),
        "own-namespaces": (container, Severity.HIGH, ["5.16", "5.17", "5.31"]),
        "own-cgroup": (container, Severity.MEDIUM, ["5.25"]),
        "stays-confined": (both, Severity.HIGH, ["5.2", "5.3", "5.22"]),
        "no-new-privileges": (container, Severity.MEDIUM, ["5.26"]),
        "no-host-devices": (container, Severity.HIGH, ["5.18"]),
        "default-ulimits": (container, Severity.LOW, ["5.19"]),
        "restarts-with-a-pause": (both, Severity.LOW, ["5.15"]),
        "no-remote-shell": (both, Severity.MEDIUM, ["5.7"]),
    }


def test_parameters_have_values_in_both_environments() -> None:
    for rule in ("drops-capabilities", "default-ulimits"):
        assert PARAMETERS[rule] == {"staging": {"allowed": []}, "prod": {"allowed": []}}
    with_parameters = {rule.id: dict(rule.parameters) for rule in containers.RULES if rule.parameters}
    schema = {"type": "array", "items": {"type": "string"}}
    assert with_parameters == {
        "drops-capabilities": {"allowed": {**schema, "description": "Capabilities that may be added, without CAP_."}},
        "default-ulimits": {"allowed": {**schema, "description": "Limits that may be overridden."}},
    }


def test_only_two_rules_repair() -> None:
    assert {rule.id for rule in containers.RULES if rule.repair} == {"drops-capabilities", "read-only-root"}


# --- runs-as-non-root ---

NOBODY = "does not say as whom it runs, which is root unless its image says otherwise"


@pytest.mark.parametrize(
    ("user", "found"),
    [
        (None, [NOBODY]),
        ("", [NOBODY]),
        (":10001", [NOBODY]),
        ("1:1", []),
        ("0:1", ["runs as root"]),
        ("1:0", ["runs in the group of root"]),
        ("00:00", ["runs as root", "runs in the group of root"]),
        ("root:root", ["runs as root", "runs in the group of root"]),
        ("10001", ["runs as 10001 without a group, which is root's unless its image knows the user"]),
        ("10001:", ["runs as 10001 without a group, which is root's unless its image knows the user"]),
        ("redis:10001", ["runs as redis, of whom only the image knows whether it is root"]),
        ("10001:redis", ["runs in the group redis, of which only the image knows whether it is root's"]),
        ("+0:1", ["runs as +0, of whom only the image knows whether it is root"]),
        ("1x:1", ["runs as 1x, of whom only the image knows whether it is root"]),
    ],
)
def test_user(user: str | None, found: list[str]) -> None:
    assert of_both("runs-as-non-root", "user", user) == [found, found]


def test_user_that_is_not_known() -> None:
    only_unknown(of_service("runs-as-non-root", "user", UNKNOWN_STRING_VALUE), f"{SPEC}.user")
    only_unknown(of_container("runs-as-non-root", "user", UNKNOWN_STRING_VALUE), "user")


# --- drops-capabilities ---

KEEPS = "keeps the capabilities that Docker gives by default"


@pytest.mark.parametrize(
    ("drops", "adds", "allowed", "found"),
    [
        (None, None, [], [KEEPS]),
        ([], [], [], [KEEPS]),
        (["NET_RAW", "CHOWN"], None, [], [KEEPS]),
        (["ALL"], [], [], []),
        (["all"], None, [], []),
        (["NET_RAW", "ALL"], None, [], []),
        (["ALL"], ["NET_RAW"], [], ["asks for capabilities that are not allowed: NET_RAW"]),
        (["ALL"], ["SYS_TIME", "cap_net_raw"], [], ["asks for capabilities that are not allowed: NET_RAW, SYS_TIME"]),
        (["ALL"], ["CAP_NET_RAW"], ["NET_RAW"], []),
        (["ALL"], ["net_raw"], ["CAP_NET_RAW"], []),
        (["ALL"], ["NET_RAW", "CHOWN"], ["CHOWN"], ["asks for capabilities that are not allowed: NET_RAW"]),
        (None, ["ALL"], [], [KEEPS, "asks for capabilities that are not allowed: ALL"]),
    ],
)
def test_capabilities(drops: list[str] | None, adds: list[str] | None, allowed: list[str], found: list[str]) -> None:
    service = changed(f"{SPEC}.capDrops", drops)
    service["taskSpec"]["containerSpec"]["capAdds"] = adds
    container = {**CONTAINED, "capabilities": {"drops": drops, "adds": adds}}
    assert messages(asked(RULE["drops-capabilities"], view(service), allowed=allowed)) == found
    assert messages(asked(RULE["drops-capabilities"], view(container, CONTAINER), allowed=allowed)) == found


def test_capabilities_without_a_parameter() -> None:
    assert messages(of_service("drops-capabilities", "capAdds", ["KILL"])) == [
        "asks for capabilities that are not allowed: KILL"
    ]
    assert messages(of_container("drops-capabilities", "capabilities", None)) == [KEEPS]


def test_capabilities_that_are_not_known() -> None:
    only_unknown(of_service("drops-capabilities", "capDrops", [UNKNOWN_STRING_VALUE]), f"{SPEC}.capDrops[0]")
    only_unknown(of_container("drops-capabilities", "capabilities", UNKNOWN_OBJECT_VALUE), "capabilities")


# --- read-only-root ---


@pytest.mark.parametrize(("value", "found"), [(None, 1), (False, 1), (True, 0)])
def test_read_only(value: bool | None, found: int) -> None:
    wanted = ["can write to its root file system"] * found
    assert of_both("read-only-root", "readOnly", value) == [wanted, wanted]


def test_read_only_that_is_not_known() -> None:
    only_unknown(of_service("read-only-root", "readOnly", UNKNOWN_STRING_VALUE), f"{SPEC}.readOnly")


# --- not-privileged ---


def test_privileged() -> None:
    assert of_container("not-privileged", "privileged", False) == []
    assert messages(of_container("not-privileged", "privileged", True)) == [
        "is privileged, which is root on the machine"
    ]
    only_unknown(of_container("not-privileged", "privileged", UNKNOWN_STRING_VALUE), "privileged")


# --- mounts ---


def bind(source: str, **more: Any) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": "/host", **more}


def by_volume(device: str, options: str = "bind", **more: Any) -> dict[str, Any]:
    driver = {"type": "none", "o": options, "device": device}
    return {
        "type": "volume",
        "source": UNKNOWN_STRING_VALUE,
        "target": "/host",
        "volumeOptions": {"driverOptions": driver},
        **more,
    }


SOCKETS = [
    *("/var/run/docker.sock", "/run/docker.sock", "//var/run/./docker.sock", "/srv/../run/docker.sock"),
    *("/run/containerd/containerd.sock", "/run/user/1000/docker.sock", "/srv/dockershim.sock", "/srv/cri-dockerd.sock"),
    *("/srv/crio.sock", "/srv/podman.sock", "/srv/buildkitd.sock", "/srv/containerd.sock"),
    *(
        "/run",
        "/run/",
        "/var/run",
        "/run/docker",
        "/var/run/docker/swarm",
        "/run/containerd",
        "/run/crio",
        "/run/podman",
    ),
]


@pytest.mark.parametrize("source", SOCKETS)
@pytest.mark.parametrize("read_only", [True, False])
def test_engine_sockets(source: str, read_only: bool) -> None:
    wanted = [f"has the engine's socket by {source}, which is root on the machine, read-only or not"]
    mounts = [bind(source, readOnly=read_only)]
    assert of_both("no-engine-socket", "mounts", mounts) == [wanted, wanted]
    assert of_both("no-engine-socket", "mounts", [by_volume(source)]) == [wanted, wanted]
    volumes = [{"containerPath": "/x", "hostPath": source, "readOnly": read_only}]
    assert messages(of_container("no-engine-socket", "volumes", volumes)) == wanted


@pytest.mark.parametrize("source", ["/", "/var", "/srv", "/run/lock", "/runner", "/srv/docker.sock.d", "/proc", "/sys"])
def test_folders_without_an_engine_socket_of_their_own(source: str) -> None:
    assert of_both("no-engine-socket", "mounts", [bind(source, readOnly=True)]) == [[], []]


SENSITIVE = [
    *("/", "//", "/var", "/var/lib", "/var/lib/docker", "/var/lib/docker/volumes", "/var/lib/containerd", "/var/run"),
    *(f"/{name}" for name in ["bin", "boot", "dev", "etc", "etc/ssh", "lib", "lib64", "proc", "root"]),
    *("/run", "/run/lock", "/sbin"),
    *("/sys", "/usr", "/usr/local", "/etc/../usr", "/srv/../etc"),
]


@pytest.mark.parametrize("source", SENSITIVE)
def test_folders_of_the_machine(source: str) -> None:
    wanted = [f"can write to {source} of the machine"]
    for writable in ({}, {"readOnly": False}, {"readOnly": None}):
        assert of_both("no-writable-host-folders", "mounts", [bind(source, **writable)]) == [wanted, wanted]
        volumes = [{"containerPath": "/x", "hostPath": source, **writable}]
        assert messages(of_container("no-writable-host-folders", "volumes", volumes)) == wanted
    assert of_both("no-writable-host-folders", "mounts", [bind(source, readOnly=True)]) == [[], []]
    volumes = [{"containerPath": "/x", "hostPath": source, "readOnly": True}]
    assert of_container("no-writable-host-folders", "volumes", volumes) == []


@pytest.mark.parametrize("source", ["/srv", "/srv/etc", "/opt/etc", "/etcetera", "/data", "/var/lib/postgresql"])
def test_folders_that_are_nobody_s(source: str) -> None:
    assert of_both("no-writable-host-folders", "mounts", [bind(source)]) == [[], []]


def test_a_socket_is_the_other_rule_s() -> None:
    assert of_both("no-writable-host-folders", "mounts", [bind("/run/docker.sock")]) == [[], []]


@pytest.mark.parametrize(
    ("options", "more", "found"),
    [
        ("bind", {}, 1),
        ("rbind", {}, 1),
        ("noatime,bind", {}, 1),
        ("bind,ro", {}, 0),
        ("bind", {"readOnly": True}, 0),
        ("binder", {}, 0),
        ("size=1m", {}, 0),
    ],
)
def test_a_volume_that_is_a_folder_of_the_machine(options: str, more: dict[str, Any], found: int) -> None:
    wanted = ["can write to /etc of the machine"] * found
    assert of_both("no-writable-host-folders", "mounts", [by_volume("/etc", options, **more)]) == [wanted, wanted]


def test_a_resource_of_a_volume_that_is_a_folder_of_the_machine() -> None:
    def of(options: Mapping[str, Any]) -> list[list[str]]:
        seen = view({**DATA, "driverOpts": options}, VOLUME, "volume-data")
        return [messages(asked(RULE[rule], seen)) for rule in ("no-writable-host-folders", "no-engine-socket")]

    assert of({"type": "none", "o": "bind", "device": "/etc"}) == [["can write to /etc of the machine"], []]
    assert of({"type": "none", "o": "bind,ro", "device": "/etc"}) == [[], []]
    assert of({"type": "none", "o": "bind", "device": "/srv/data"}) == [[], []]
    assert of({"type": "none", "o": "bind"}) == [[], []]
    assert of({"type": "nfs", "device": ":/etc"}) == [[], []]
    assert of({"o": "bind", "device": "/run/docker.sock"})[1] == [
        "has the engine's socket by /run/docker.sock, which is root on the machine, read-only or not"
    ]
    found = asked(RULE["no-engine-socket"], view({"driverOpts": UNKNOWN_OBJECT_VALUE}, VOLUME))
    only_unknown(found, "driverOpts")


def test_named_volumes_and_memory_are_nobody_s_folder() -> None:
    mounts = [
        {"type": "volume", "source": "/etc", "target": "/data"},
        {"type": "tmpfs", "source": "/etc", "target": "/tmp"},
    ]
    for rule in ("no-writable-host-folders", "no-engine-socket"):
        assert of_both(rule, "mounts", mounts) == [[], []]
        assert of_both(rule, "mounts", None) == [[], []]
        assert of_container(rule, "volumes", [{"containerPath": "/x", "volumeName": "/etc"}]) == []


def test_every_mount_is_judged() -> None:
    mounts = [bind("/srv"), bind("/etc"), bind("/proc", readOnly=True), bind("/usr")]
    wanted = ["can write to /etc of the machine", "can write to /usr of the machine"]
    assert of_both("no-writable-host-folders", "mounts", mounts) == [wanted, wanted]


def test_what_is_not_known_of_mounts() -> None:
    volume = {"type": "volume", "source": UNKNOWN_STRING_VALUE, "target": "/data"}
    unknown = bind(UNKNOWN_STRING_VALUE)
    for rule in ("no-writable-host-folders", "no-engine-socket"):
        assert of_service(rule, "mounts", [volume]) == []
        only_unknown(of_service(rule, "mounts", [unknown]), f"{SPEC}.mounts[0].source")
        found = of_service(rule, "mounts", [bind("/run"), unknown])
        assert [finding.status for finding in found] == [Status.VIOLATION, Status.UNKNOWN]
    maybe = [bind("/etc", readOnly=UNKNOWN_STRING_VALUE)]
    only_unknown(of_service("no-writable-host-folders", "mounts", maybe), f"{SPEC}.mounts[0].readOnly")
    # Whether it can be written to makes no difference to these.
    harmless = [bind("/srv", readOnly=UNKNOWN_STRING_VALUE)]
    assert of_service("no-writable-host-folders", "mounts", harmless) == []
    socket = [bind("/run/docker.sock", readOnly=UNKNOWN_STRING_VALUE)]
    assert [finding.status for finding in of_service("no-engine-socket", "mounts", socket)] == [Status.VIOLATION]


# --- no-shared-propagation ---


@pytest.mark.parametrize(
    ("mode", "found"),
    [(None, 0), ("private", 0), ("rprivate", 0), ("slave", 0), ("rslave", 0), ("shared", 1), ("rshared", 1)],
)
def test_propagation(mode: str | None, found: int) -> None:
    wanted = [f"mounts /host with {mode} propagation"] * found
    mounts = [bind("/srv"), bind("/srv", bindOptions={"propagation": mode})]
    assert of_both("no-shared-propagation", "mounts", mounts) == [wanted, wanted]


def test_propagation_that_is_not_known() -> None:
    mounts = [bind("/srv", bindOptions={"propagation": UNKNOWN_STRING_VALUE})]
    found = of_service("no-shared-propagation", "mounts", mounts)
    only_unknown(found, f"{SPEC}.mounts[0].bindOptions.propagation")
    # Where it is from does not matter.
    assert of_service("no-shared-propagation", "mounts", [bind(UNKNOWN_STRING_VALUE)]) == []


# --- own-namespaces, own-cgroup ---


@pytest.mark.parametrize("mode", ["pidMode", "ipcMode", "usernsMode", "cgroupnsMode"])
def test_namespaces(mode: str) -> None:
    said = f"shares a namespace of the machine: {mode} is host"
    assert messages(of_container("own-namespaces", mode, "host")) == [said]
    for other in ("private", "container:other", ""):
        assert of_container("own-namespaces", mode, other) == []
    only_unknown(of_container("own-namespaces", mode, UNKNOWN_STRING_VALUE), mode)


def test_all_namespaces_are_named() -> None:
    props = {**CONTAINED, "pidMode": "host", "usernsMode": "host"}
    assert messages(asked(RULE["own-namespaces"], view(props, CONTAINER))) == [
        "shares a namespace of the machine: pidMode is host",
        "shares a namespace of the machine: usernsMode is host",
    ]


def test_cgroup() -> None:
    assert of_container("own-cgroup", "cgroupParent", "") == []
    assert messages(of_container("own-cgroup", "cgroupParent", "/apps")) == [
        "is in the control group /apps, past the limits of Docker's own"
    ]
    only_unknown(of_container("own-cgroup", "cgroupParent", UNKNOWN_STRING_VALUE), "cgroupParent")


# --- stays-confined, no-new-privileges ---


@pytest.mark.parametrize(
    "option", ["seccomp=unconfined", "apparmor:unconfined", "label=disable", "systempaths=unconfined"]
)
def test_confinement_of_containers(option: str) -> None:
    found = of_container("stays-confined", "securityOpts", ["no-new-privileges", option])
    assert messages(found) == [f"runs without confinement: {option}"]


@pytest.mark.parametrize(
    "option", ["seccomp=profile.json", "apparmor=docker-default", "label=level:s0", "no-new-privileges"]
)
def test_other_options_confine(option: str) -> None:
    assert of_container("stays-confined", "securityOpts", [option]) == []


def test_confinement_without_options() -> None:
    assert of_container("stays-confined", "securityOpts", None) == []
    only_unknown(of_container("stays-confined", "securityOpts", [UNKNOWN_STRING_VALUE]), "securityOpts[0]")


@pytest.mark.parametrize(("value", "found"), [(None, 0), (False, 0), (True, 1)])
def test_confinement_of_services(value: bool | None, found: int) -> None:
    privileges = {"seLinuxContext": {"disable": value}}
    wanted = ["runs without confinement: SELinux is disabled"] * found
    assert messages(of_service("stays-confined", "privileges", privileges)) == wanted


def test_confinement_of_services_that_is_not_known() -> None:
    found = of_service("stays-confined", "privileges", UNKNOWN_OBJECT_VALUE)
    only_unknown(found, f"{SPEC}.privileges")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["no-new-privileges"], 0),
        (["no-new-privileges:true"], 0),
        (["label=user:x", "no-new-privileges=true"], 0),
        (["no-new-privileges:false"], 1),
        (["seccomp=x"], 1),
        ([], 1),
        (None, 1),
    ],
)
def test_new_privileges(options: list[str] | None, found: int) -> None:
    wanted = ["can gain rights by a program with the setuid bit"] * found
    assert messages(of_container("no-new-privileges", "securityOpts", options)) == wanted


def test_new_privileges_that_are_not_known() -> None:
    only_unknown(of_container("no-new-privileges", "securityOpts", UNKNOWN_STRING_VALUE), "securityOpts")


# --- no-host-devices, default-ulimits ---


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("devices", [], []),
        ("devices", [{"hostPath": "/dev/sda"}], ["has the machine's device /dev/sda"]),
        ("deviceRequests", [], []),
        ("deviceRequests", [{"count": 1}], ["has devices of the machine by deviceRequests"]),
        ("deviceCgroupRules", [], []),
        ("deviceCgroupRules", ["c 42:* rmw"], ["has devices of the machine by deviceCgroupRules"]),
        ("gpus", "", []),
        ("gpus", "all", ["has devices of the machine by gpus"]),
    ],
)
def test_devices(field: str, value: Any, found: list[str]) -> None:
    assert messages(of_container("no-host-devices", field, value)) == found


def test_devices_that_are_not_known() -> None:
    only_unknown(of_container("no-host-devices", "devices", UNKNOWN_STRING_VALUE), "devices")
    certain_first = {**CONTAINED, "devices": [{"hostPath": "/dev/kvm"}], "gpus": UNKNOWN_STRING_VALUE}
    found = asked(RULE["no-host-devices"], view(certain_first, CONTAINER))
    assert [finding.status for finding in found] == [Status.VIOLATION, Status.UNKNOWN]


def test_ulimits() -> None:
    limits = [{"name": "nproc", "hard": 1, "soft": 1}, {"name": "nofile", "hard": 1, "soft": 1}]
    assert of_container("default-ulimits", "ulimits", []) == []
    assert messages(of_container("default-ulimits", "ulimits", limits)) == [
        "overrides limits of the engine: nofile, nproc"
    ]
    found = of_container("default-ulimits", "ulimits", limits, allowed=["nofile"])
    assert messages(found) == ["overrides limits of the engine: nproc"]
    assert of_container("default-ulimits", "ulimits", limits, allowed=["nofile", "nproc"]) == []
    only_unknown(of_container("default-ulimits", "ulimits", UNKNOWN_STRING_VALUE), "ulimits")


# --- restarts-with-a-pause ---

SPINS = "is restarted without a pause, so that a broken start takes a whole processor"


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (None, []),
        ({"condition": "any", "delay": "1ms"}, []),
        ({"condition": "any", "delay": "0s"}, [SPINS]),
        ({"delay": "5s"}, []),
        # The provider sends the field that is not set, as 0.
        ({"condition": "any"}, [SPINS]),
        ({}, [SPINS]),
        ({"condition": "on-failure", "delay": "0s"}, [SPINS]),
        ({"condition": "on-failure", "maxAttempts": 5}, [SPINS]),
        ({"condition": "none"}, []),
        ({"condition": "none", "delay": "0s"}, []),
    ],
)
def test_restarts_of_services(policy: dict[str, Any] | None, found: list[str]) -> None:
    seen = view(changed("taskSpec.restartPolicy", policy))
    assert messages(asked(RULE["restarts-with-a-pause"], seen)) == found


def test_restarts_that_are_not_known() -> None:
    for field in ("condition", "delay"):
        seen = view(changed(f"taskSpec.restartPolicy.{field}", UNKNOWN_STRING_VALUE))
        only_unknown(asked(RULE["restarts-with-a-pause"], seen), f"taskSpec.restartPolicy.{field}")
    only_unknown(of_container("restarts-with-a-pause", "restart", UNKNOWN_STRING_VALUE), "restart")


def test_a_delay_that_nobody_understands() -> None:
    found = asked(RULE["restarts-with-a-pause"], view(changed("taskSpec.restartPolicy.delay", "soon")))
    assert [finding.status for finding in found] == [Status.VIOLATION]
    assert found[0].message.startswith("cannot be read: taskSpec.restartPolicy.delay")


@pytest.mark.parametrize(
    ("restart", "retries", "found"),
    [
        (None, None, []),
        ("no", 0, []),
        ("no", 9, []),
        ("on-failure", 1, []),
        ("on-failure", 5, []),
        ("on-failure", 6, ["is restarted 6 times; at most 5 are of use"]),
        ("on-failure", 0, ["is restarted without end: restart is on-failure"]),
        ("on-failure", None, ["is restarted without end: restart is on-failure"]),
        ("always", 3, ["is restarted without end: restart is always"]),
        ("unless-stopped", None, ["is restarted without end: restart is unless-stopped"]),
    ],
)
def test_restarts_of_containers(restart: str | None, retries: int | None, found: list[str]) -> None:
    seen = view({**CONTAINED, "restart": restart, "maxRetryCount": retries}, CONTAINER)
    assert messages(asked(RULE["restarts-with-a-pause"], seen)) == found


# --- no-remote-shell ---


@pytest.mark.parametrize("field", ["commands", "args"])
@pytest.mark.parametrize(
    ("words", "server"),
    [
        (["/usr/sbin/sshd", "-D"], "sshd"),
        (["sh", "-c", "ssh-keygen -A; exec sshd -D"], "sshd"),
        (["sh", "-c", "/usr/sbin/sshd&redis-server"], "sshd"),
        (["dropbear", "-F"], "dropbear"),
    ],
)
def test_remote_shells_of_services(field: str, words: list[str], server: str) -> None:
    assert messages(of_service("no-remote-shell", field, words)) == [f"starts {server}"]


@pytest.mark.parametrize("field", ["entrypoints", "command"])
def test_remote_shells_of_containers(field: str) -> None:
    assert messages(of_container("no-remote-shell", field, ["/usr/sbin/sshd"])) == ["starts sshd"]


@pytest.mark.parametrize("words", [["redis-server"], ["cat", "/etc/ssh/sshd_config"], ["--no-sshd"], ["sshd-like"], []])
def test_other_commands(words: list[str]) -> None:
    assert of_service("no-remote-shell", "args", words) == []


def test_commands_that_are_not_known() -> None:
    only_unknown(of_service("no-remote-shell", "args", ["run", UNKNOWN_STRING_VALUE]), f"{SPEC}.args[1]")


# --- repairs ---


def repaired(rule: str, props: Mapping[str, Any]) -> Any:
    """What the engine gets back; None where nothing changes."""
    repair = RULE[rule].repair
    assert repair is not None
    found = repair(secrets_preserving_proxy(copy.deepcopy(dict(props))))
    return None if found is None else serialize_properties(found)


@pytest.mark.parametrize("rule", ["drops-capabilities", "read-only-root"])
def test_what_is_sound_is_left_alone(rule: str) -> None:
    assert repaired(rule, SOUND) is None
    assert repaired(rule, CONTAINED) is None


@pytest.mark.parametrize("before", [None, [], ["NET_RAW"], UNKNOWN_STRING_VALUE])
def test_capabilities_are_dropped(before: Any) -> None:
    props = changed(f"{SPEC}.capDrops", before)
    assert repaired("drops-capabilities", props) == SOUND
    assert repaired("drops-capabilities", changed("capabilities", {"drops": before}, CONTAINED)) == CONTAINED


def test_capabilities_that_are_dropped_in_other_letters() -> None:
    assert repaired("drops-capabilities", changed(f"{SPEC}.capDrops", ["all", "KILL"])) is None


@pytest.mark.parametrize("capabilities", [None, UNKNOWN_OBJECT_VALUE])
def test_capabilities_are_dropped_where_there_is_nothing(capabilities: Any) -> None:
    props = {**CONTAINED, "capabilities": capabilities}
    assert repaired("drops-capabilities", props) == CONTAINED
    without = {key: value for key, value in CONTAINED.items() if key != "capabilities"}
    assert repaired("drops-capabilities", without) == CONTAINED


def test_capabilities_that_are_added_stay() -> None:
    props = changed("capabilities", {"adds": ["KILL"]}, CONTAINED)
    assert repaired("drops-capabilities", props)["capabilities"] == {"adds": ["KILL"], "drops": ["ALL"]}


@pytest.mark.parametrize("before", [None, False, UNKNOWN_STRING_VALUE])
def test_the_root_becomes_read_only(before: Any) -> None:
    assert repaired("read-only-root", changed(f"{SPEC}.readOnly", before)) == SOUND
    assert repaired("read-only-root", changed("readOnly", before, CONTAINED)) == CONTAINED


@pytest.mark.parametrize("rule", ["drops-capabilities", "read-only-root"])
@pytest.mark.parametrize(
    "props",
    [
        {"taskSpec": UNKNOWN_OBJECT_VALUE},
        {"taskSpec": None},
        {"taskSpec": {}},
        {"taskSpec": {"containerSpec": UNKNOWN_OBJECT_VALUE}},
    ],
)
def test_what_is_not_there_is_not_repaired(rule: str, props: dict[str, Any]) -> None:
    assert repaired(rule, props) is None


def test_what_is_secret_stays_secret() -> None:
    props = changed(f"{SPEC}.readOnly", Secret(False))
    props["taskSpec"]["containerSpec"]["env"] = {"TOKEN": Secret("hunter2")}
    props["taskSpec"] = Secret(props["taskSpec"])
    found = repaired("read-only-root", props)["taskSpec"]
    wrapped = serialize_properties({"value": Secret("hunter2")})["value"]
    assert found == {**wrapped, "value": found["value"]}
    spec = found["value"]["containerSpec"]
    assert spec["env"] == {"TOKEN": wrapped}
    assert spec["readOnly"] == {**wrapped, "value": True}
