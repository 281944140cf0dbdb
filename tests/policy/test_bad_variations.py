"""Deliberately bad variations of the real prod stack: each is refused, by exactly the rule that it is about."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from policies.view import CONTAINER, IMAGE, NETWORK, VOLUME
from tests.policy import real
from tests.policy.real import Resources

GIB = 1024**3


def set_at(name: str, path: str, to: Any) -> Callable[[Resources], None]:
    """Another value for a property of a resource; None takes it away."""

    def change(found: Resources) -> None:
        target: Any = found[name]["props"]
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in parents:
            target = target.setdefault(part, {}) if isinstance(target, dict) else target[part]
        if to is None:
            del target[last]
        else:
            target[last] = to

    return change


def add_to(name: str, path: str, item: Any) -> Callable[[Resources], None]:
    """One more in a list."""

    def change(found: Resources) -> None:
        target: Any = found[name]["props"]
        *parents, last = path.split(".")
        for part in parents:
            target = target.setdefault(part, {})
        target.setdefault(last, []).append(item)

    return change


def added(name: str, kind: str, /, *, protect: bool = False, **props: Any) -> Callable[[Resources], None]:
    """One more resource."""

    def change(found: Resources) -> None:
        found[name] = {"type": kind, "props": props, "protect": protect}

    return change


def container(**props: Any) -> Callable[[Resources], None]:
    """A container beside the services, sound but for what is given."""
    sound = {
        "image": "sha256:" + "1" * 64,
        "user": "10001:10001",
        "readOnly": True,
        "capabilities": {"drops": ["ALL"]},
        "securityOpts": ["no-new-privileges:true"],
        "networksAdvanced": [{"name": "web"}],
    }
    return added("container-shell", CONTAINER, **{**sound, **props})


def both(*changes: Callable[[Resources], None]) -> Callable[[Resources], None]:
    def change(found: Resources) -> None:
        for one in changes:
            one(found)

    return change


def without(name: str) -> Callable[[Resources], None]:
    def change(found: Resources) -> None:
        del found[next(key for key in found if key.startswith(name))]

    return change


def rewritten(config: str, old: str, new: str) -> Callable[[Resources], None]:
    """Another text in a Swarm config."""

    def change(found: Resources) -> None:
        props = found[next(key for key in found if key.startswith(config))]["props"]
        text = base64.b64decode(props["data"]).decode()
        assert old in text
        props["data"] = base64.b64encode(text.replace(old, new).encode()).decode()

    return change


def unprotected(name: str) -> Callable[[Resources], None]:
    def change(found: Resources) -> None:
        found[name]["protect"] = False

    return change


def on_slot(name: str, slot: int) -> Callable[[Resources], None]:
    """Bound to the node of another member."""
    return set_at(name, "taskSpec.placement.constraints", [f"node.labels.dev.pidea.slot=={slot}"])


def on_first_network(key: str, to: Any) -> Callable[[Resources], None]:
    def change(found: Resources) -> None:
        name = next(name for name, item in found.items() if item["type"] == NETWORK and name.startswith("network-data"))
        set_at(name, key, to)(found)

    return change


SPEC = "taskSpec.containerSpec"
CHECK = f"{SPEC}.healthcheck"
BAD: dict[str, tuple[str, Callable[[Resources], None]]] = {
    "no health check": ("has-health-check", set_at("service-redis-1", CHECK, None)),
    "health check switched off": ("has-health-check", set_at("service-redis-1", f"{CHECK}.tests", ["NONE"])),
    "failed updates pause": ("rolls-back", set_at("service-app", "updateConfig.failureAction", "pause")),
    "half of an update may fail": ("rolls-back", set_at("service-app", "updateConfig.maxFailureRatio", "0.5")),
    "monitor too short": ("watched-long-enough", set_at("service-app", "updateConfig.monitor", "10s")),
    "monitor left to Docker": ("watched-long-enough", set_at("service-app", "updateConfig.monitor", None)),
    "start period too long": ("watched-long-enough", set_at("service-edge", f"{CHECK}.startPeriod", "10m")),
    "nobody waits": ("is-waited-for", set_at("service-edge", "convergeConfig", None)),
    "edge starts first": ("update-order-fits", set_at("service-edge", "updateConfig.order", "start-first")),
    "database starts first": ("update-order-fits", set_at("service-postgres-1", "updateConfig.order", "start-first")),
    "killed at once": ("stops-in-time", set_at("service-app", f"{SPEC}.stopGracePeriod", "0s")),
    "no grace period": ("stops-in-time", set_at("service-app", f"{SPEC}.stopGracePeriod", None)),
    "runs as user 0": ("secrets-mounted-strictly+runs-as-non-root", set_at("service-app", f"{SPEC}.user", "0:0")),
    "no user": ("runs-as-non-root", set_at("service-node-exporter", f"{SPEC}.user", None)),
    "keeps capabilities": ("drops-capabilities", set_at("service-app", f"{SPEC}.capDrops", None)),
    "adds a capability": ("drops-capabilities", set_at("service-app", f"{SPEC}.capAdds", ["SYS_ADMIN"])),
    "writable root": ("read-only-root", set_at("service-app", f"{SPEC}.readOnly", False)),
    "engine's socket": (
        "no-engine-socket",
        add_to(
            "service-app",
            f"{SPEC}.mounts",
            {"type": "bind", "source": "/var/run/docker.sock", "target": "/docker.sock", "readOnly": True},
        ),
    ),
    "writable /etc": (
        "no-writable-host-folders",
        add_to("service-app", f"{SPEC}.mounts", {"type": "bind", "source": "/etc/cron.d", "target": "/cron"}),
    ),
    "shared propagation": (
        "no-shared-propagation",
        add_to(
            "service-app",
            f"{SPEC}.mounts",
            {
                "type": "bind",
                "source": "/srv/x",
                "target": "/x",
                "readOnly": True,
                "bindOptions": {"propagation": "rshared"},
            },
        ),
    ),
    "privileged container": ("not-privileged", container(privileged=True)),
    "machine's processes": ("own-namespaces", container(pidMode="host")),
    "container on the machine's network": ("no-host-network", container(networkMode="host")),
    "unconfined": (
        "stays-confined",
        container(securityOpts=["no-new-privileges:true", "seccomp=unconfined"]),
    ),
    "may gain rights": ("no-new-privileges", container(securityOpts=[])),
    "machine's disk": ("no-host-devices", container(devices=[{"hostPath": "/dev/sda"}])),
    "restarts without a pause": (
        "restarts-with-a-pause",
        set_at("service-app", "taskSpec.restartPolicy.delay", "0s"),
    ),
    "starts sshd": ("no-remote-shell", set_at("service-app", f"{SPEC}.args", ["/usr/sbin/sshd", "-D"])),
    "password in env": (
        "no-secrets-in-plain-sight",
        set_at("service-app", f"{SPEC}.env.DATABASE_PASSWORD", "hunter2hunter2"),
    ),
    "password in an address": (
        "no-secrets-in-plain-sight",
        set_at("service-app", f"{SPEC}.env.DATABASE_URL", "postgres://app:hunter2@db/pidea"),
    ),
    "token in a label": (
        "no-secrets-in-plain-sight",
        add_to("service-app", "labels", {"label": "api_token", "value": "abc"}),
    ),
    "key in an argument": (
        "no-secrets-in-plain-sight",
        set_at("service-app", f"{SPEC}.args", ["--key", "AKIA" + "ABCDEFGHIJKLMNOP"]),
    ),
    "password in a config": (
        "no-secrets-in-plain-sight",
        rewritten("config-redis-conf", "maxmemory ", "masterauth_password: sesame\nmaxmemory "),
    ),
    "secret for everybody": (
        "secrets-mounted-strictly",
        set_at("service-app", f"{SPEC}.secrets.0.fileMode", 0o444),
    ),
    "secret of root": ("secrets-mounted-strictly", set_at("service-app", f"{SPEC}.secrets.0.fileUid", "0")),
    "database publishes": (
        "only-edge-publishes",
        set_at(
            "service-postgres-1",
            "endpointSpec.ports",
            [{"targetPort": 5432, "publishedPort": 5432, "publishMode": "host"}],
        ),
    ),
    "port below 1024": ("only-edge-publishes", set_at("service-edge", "endpointSpec.ports.0.publishedPort", 80)),
    "routing mesh": ("no-routing-mesh", set_at("service-edge", "endpointSpec.ports.0.publishMode", "ingress")),
    "virtual address": ("no-virtual-address", set_at("service-app", "endpointSpec.mode", "vip")),
    "on host network": (
        "no-host-network",
        add_to("service-app", "taskSpec.networksAdvanceds", {"name": "host"}),
    ),
    "on no network": ("not-on-default-bridge", set_at("service-app", "taskSpec.networksAdvanceds", None)),
    "network with a way out": ("networks-internal", on_first_network("internal", False)),
    "network in the clear": ("networks-encrypted", on_first_network("options", None)),
    "latest": ("images-pinned+images-from-allowed-sources", set_at("service-app", f"{SPEC}.image", "nginx:latest")),
    "tag": ("images-pinned", set_at("service-app", f"{SPEC}.image", "pidea/app:1.0")),
    "image from elsewhere": (
        "images-from-allowed-sources",
        added("image-x", IMAGE, name="evil.example/x:1.0"),
    ),
    "pulled by a tag that moves": ("no-mutable-tags", added("image-x", IMAGE, name="pidea/x:latest")),
    "no labels": ("labelled", set_at("service-app", f"{SPEC}.labels", [])),
    "no memory limit": ("limits-set", set_at("service-app", "taskSpec.resources.limits.memoryBytes", None)),
    "no processor limit": ("limits-set", set_at("service-app", "taskSpec.resources.limits.nanoCpus", None)),
    "no reservation": ("reserves-memory", set_at("service-app", "taskSpec.resources.reservation", None)),
    "reserves more than its limit": (
        "reserves-memory",
        set_at("service-app", "taskSpec.resources.reservation.memoryBytes", GIB),
    ),
    "logs for ever": ("logs-bounded", set_at("service-app", "taskSpec.logDriver.options", None)),
    "a gigabyte of logs": ("logs-bounded", set_at("service-app", "taskSpec.logDriver.options.max-size", "1g")),
    "logs elsewhere": ("logs-bounded", set_at("service-app", "taskSpec.logDriver.name", "journald")),
    "tmpfs without a size": (
        "tmpfs-bounded",
        add_to("service-app", f"{SPEC}.mounts", {"type": "tmpfs", "target": "/scratch"}),
    ),
    "does not fit": (
        "fits-with-one-node-lost+reserves-memory",
        set_at("service-postgres-1", "taskSpec.resources.reservation.memoryBytes", 16 * GIB),
    ),
    "over budget": (
        "within-budget",
        set_at("service-postgres-1", "taskSpec.resources.limits.memoryBytes", 64 * GIB),
    ),
    "all on one node": ("spread-over-nodes", set_at("service-app", "taskSpec.placement.maxReplicas", 3)),
    "even number of sentinels": ("redis-topology", without("service-sentinel-3")),
    "two Redis servers": ("redis-topology", without("service-redis-3")),
    "two sentinels on one node": ("redis-topology", on_slot("service-sentinel-3", 1)),
    "a replica beside its primary": ("redis-topology", on_slot("service-redis-2", 1)),
    "a primary that is cut off takes writes": (
        "redis-topology",
        rewritten("config-redis-conf", "min-replicas-to-write 1", "min-replicas-to-write 0"),
    ),
    "even number of etcd members": ("postgres-topology", without("service-etcd-3")),
    "two PostgreSQL servers": ("postgres-topology", without("service-postgres-3")),
    "a standby beside its primary": ("postgres-topology", on_slot("service-postgres-2", 1)),
    "etcd on two nodes": ("postgres-topology", on_slot("service-etcd-2", 3)),
    "a database that moves": (
        "data-stays-with-its-node",
        set_at("service-postgres-1", "taskSpec.placement.constraints", []),
    ),
    "edge in the clear": ("edge-has-tls", rewritten("config-haproxy-cfg", "bind :8080 ssl", "bind :8080 #")),
    "everything traced": ("traces-are-sampled", set_at("service-app", f"{SPEC}.env.TRACE_SAMPLING_RATIO", "1")),
    "volume without protection": ("volumes-protected", unprotected("volume-redis-data")),
    "volume without a backup": (
        "volumes-backed-up",
        added("volume-uploads", VOLUME, protect=True, name="pidea-prod-uploads", labels=[]),
    ),
    "nobody scrapes": (
        "services-scraped",
        both(
            rewritten("config-prometheus-1-yml", "tasks.pidea-prod-jaeger", "tasks.pidea-prod-other"),
            rewritten("config-prometheus-2-yml", "tasks.pidea-prod-jaeger", "tasks.pidea-prod-other"),
        ),
    ),
    "nobody is told": (
        "services-alerted",
        rewritten("config-rules-resources", "expr: up == 0", "expr: up == 2"),
    ),
    "volume removed": ("no-data-loss", without("volume-postgres-data")),
    "older PostgreSQL": (
        "no-database-downgrade",
        both(
            set_at("image-postgres", "build.buildArgs.POSTGRES_MAJOR", "14"),
            set_at("image-postgres", "name", "pidea/postgres:0123456789abcdef"),
        ),
    ),
    "older Redis": (
        "no-database-downgrade",
        both(
            set_at("image-redis", "build.buildArgs.REDIS_MAJOR", "6"),
            set_at("image-redis", "name", "pidea/redis:0123456789abcdef"),
        ),
    ),
    "volume renamed": ("no-data-loss", set_at("volume-postgres-data", "name", "pidea-prod-postgres-data-2")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_variation_is_refused_by_the_rule_that_it_is_about(name: str) -> None:
    rules, change = BAD[name]
    found = real.resources("prod")
    before = real.resources("prod")
    change(found)
    assert real.violated(real.judged(found, "prod", before)) == set(rules.split("+"))


def test_there_are_enough_of_them() -> None:
    assert len(BAD) >= 40
