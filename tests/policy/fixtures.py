"""Resources as Pulumi shows them to a policy pack, and how tests ask a rule about them."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from pulumi_policy.proxy import unknown_checking_proxy

from policies.exceptions import Waivers
from policies.judge import judge_resource, judge_stack
from policies.model import Finding, Rule
from policies.view import SERVICE, Stack, View

TODAY = datetime.date(2026, 1, 1)

# A service that no rule about one service objects to.
SOUND: Mapping[str, Any] = {
    "name": "pidea-staging-redis",
    "labels": [
        {"label": "dev.pidea.instance", "value": "pidea-staging"},
        {"label": "dev.pidea.component", "value": "redis"},
    ],
    "mode": {"replicated": {"replicas": 1}},
    "endpointSpec": {"mode": "dnsrr"},
    "updateConfig": {
        "order": "stop-first",
        "parallelism": 1,
        "failureAction": "rollback",
        "monitor": "35s",
        "maxFailureRatio": "0.0",
    },
    "rollbackConfig": {"order": "stop-first", "parallelism": 1, "failureAction": "pause", "monitor": "5s"},
    "convergeConfig": {"delay": "9s", "timeout": "180s"},
    "taskSpec": {
        "containerSpec": {
            "image": "sha256:" + "a" * 64,
            "user": "10001:10001",
            "readOnly": True,
            "capDrops": ["ALL"],
            "env": {"LOG_LEVEL": "info"},
            "labels": [
                {"label": "dev.pidea.instance", "value": "pidea-staging"},
                {"label": "dev.pidea.component", "value": "redis"},
            ],
            "healthcheck": {
                "tests": ["CMD", "redis-ok"],
                "interval": "5s",
                "timeout": "3s",
                "retries": 3,
                "startPeriod": "15s",
            },
            "stopSignal": "SIGTERM",
            "stopGracePeriod": "10s",
            "mounts": [
                {"type": "volume", "source": "pidea-staging-redis-data", "target": "/data"},
                {"type": "tmpfs", "target": "/tmp", "tmpfsOptions": {"sizeBytes": 1048576, "mode": 511}},
            ],
            "secrets": [
                {
                    "secretId": "abc",
                    "secretName": "pidea-staging-redis-acl-v1",
                    "fileName": "redis-acl",
                    "fileUid": "10001",
                    "fileGid": "10001",
                    "fileMode": 256,
                }
            ],
        },
        "networksAdvanceds": [{"id": "net-1"}],
        "resources": {
            "limits": {"nanoCpus": 1000000000, "memoryBytes": 268435456},
            "reservation": {"memoryBytes": 67108864},
        },
        "restartPolicy": {"condition": "any", "delay": "2s", "window": "0s"},
        "placement": {},
        "logDriver": {"name": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
    },
}


def changed(path: str, to: Any, base: Mapping[str, Any] = SOUND) -> dict[str, Any]:
    """The properties with another value at the path (`taskSpec.containerSpec.mounts.0.type`); None takes it away."""
    props: dict[str, Any] = copy.deepcopy(dict(base))
    target: Any = props
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        if isinstance(part, str) and part not in target:
            target[part] = {}
        target = target[part]
    if to is None:
        del target[last]
    else:
        target[last] = to
    return props


def view(props: Mapping[str, Any], type: str = SERVICE, name: str = "service-redis", **given: Any) -> View:
    """The resource as the pack sees it."""
    return View(unknown_checking_proxy(dict(props)), type=type, name=name, **given)


def waivers() -> Waivers:
    """None."""
    return Waivers([], environment="prod", today=TODAY)


def asked(rule: Rule, resource: View, **parameters: Any) -> list[Finding]:
    """What the rule finds on the resource."""
    return judge_resource(rule, resource, parameters, waivers())


def asked_of_stack(
    rule: Rule, resources: Iterable[View], before: Iterable[View] | None = None, **parameters: Any
) -> list[Finding]:
    """What the rule finds on the stack."""
    stack = Stack(list(resources), None if before is None else list(before))
    return judge_stack(rule, stack, parameters, waivers())


def messages(findings: Iterable[Finding]) -> list[str]:
    """Their texts."""
    return [finding.message for finding in findings]
