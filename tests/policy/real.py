"""The committed stacks as the policy pack sees them, and all rules applied to them."""

from __future__ import annotations

import datetime
import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pulumi_policy.proxy import unknown_checking_proxy

from policies import environments, exceptions
from policies.catalogue import RULES
from policies.exceptions import Waivers
from policies.judge import judge_resource, judge_stack
from policies.model import Finding, Status
from policies.rules.exceptions import problems_of
from policies.view import Stack, View

REPOSITORY = Path(__file__).resolve().parents[2]
STACKS = ("staging", "prod")
TODAY = datetime.datetime.now(datetime.UTC).date()

Resources = dict[str, dict[str, Any]]


@functools.cache
def _recorded(stack: str, changed: str) -> str:
    # Late: infra's program is heavy, and importing Pulumi's mocks changes its settings.
    from tests.unit.infra.recording import Secret, record

    def plain(value: Any) -> Any:
        if isinstance(value, Secret):
            return plain(value.value)
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    config = yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())["config"] | json.loads(changed)
    inherited = os.environ.pop("PULUMI_CONFIG", None)
    try:
        found = record(config).resources
    finally:
        if inherited is not None:
            os.environ["PULUMI_CONFIG"] = inherited
    return json.dumps(
        {item.name: {"type": item.type, "props": plain(item.inputs), "protect": item.protect} for item in found}
    )


def resources(stack: str, changed: Mapping[str, Any] = MappingProxyType({})) -> Resources:
    """A fresh copy of a stack's resources by name: `type`, `props`, `protect`; of its settings some `changed`."""
    return dict(json.loads(_recorded(stack, json.dumps(dict(changed)))))


def views(found: Resources) -> list[View]:
    """As the pack sees them."""
    return [
        View(unknown_checking_proxy(item["props"]), type=item["type"], name=name, protect=item["protect"])
        for name, item in found.items()
    ]


def judged(found: Resources, environment: str, before: Resources | None = None) -> list[Finding]:
    """What all rules find, with the committed exceptions."""
    waivers = Waivers(exceptions.load(RULES), environment=environment, today=TODAY)
    seen = views(found)
    stack = Stack(seen, views(before if before is not None else found))
    findings: list[Finding] = []
    for rule in RULES.values():
        values = environments.parameters(rule, environment)
        for resource in seen:
            findings += judge_resource(rule, resource, values, waivers)
        findings += judge_stack(rule, stack, values, waivers)
    return [*findings, *problems_of(waivers)]


def violated(findings: Iterable[Finding]) -> set[str]:
    """The ids of the rules that object."""
    return {finding.rule for finding in findings if finding.status is Status.VIOLATION}


Change = Callable[[Resources], None]
