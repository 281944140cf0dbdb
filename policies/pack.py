"""The rules as Pulumi policies."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyComplianceFramework,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy import Severity as PulumiSeverity
from pulumi_policy.proxy import UnknownValueError

from policies import environments
from policies.catalogue import RULES
from policies.exceptions import Waivers, load
from policies.judge import judge_resource, judge_stack
from policies.model import Finding, Parameters, Rule, Status
from policies.rules.exceptions import EXCEPTIONS_ARE_CURRENT, problems_of
from policies.view import Stack, View

# A file to which every finding is added as a line of JSON, waived ones too: what the report is made of.
FINDINGS_FILE: Final = "PIDEA_POLICY_FINDINGS"
# A file with the resources as they were before the change: a list of objects with type, name, urn, protect, props.
BEFORE_FILE: Final = "PIDEA_POLICY_BEFORE"


class Pack:
    """One run's judgement. `policies` is what Pulumi gets."""

    def __init__(self, environment: str, today: datetime.date) -> None:
        """Raises ExceptionsError where exceptions.yaml is not right."""
        self._environment = environment
        self._waivers = Waivers(load(RULES), environment=environment, today=today)
        self._before = _before(os.environ.get(BEFORE_FILE))
        self._findings = os.environ.get(FINDINGS_FILE)

    @property
    def policies(self) -> list[Policy]:
        """Resource rules first: whether an exception is needed is known when all of them have judged."""
        rules = sorted(RULES.values(), key=lambda rule: rule.id == EXCEPTIONS_ARE_CURRENT.id)
        return [self._policy(rule) for rule in rules]

    def _policy(self, rule: Rule) -> Policy:
        described: dict[str, Any] = {
            "name": rule.id,
            "description": rule.title,
            "enforcement_level": EnforcementLevel(environments.level(rule, self._environment).value),
            "display_name": rule.title,
            "severity": PulumiSeverity(rule.severity.value),
            "remediation_steps": rule.remediation,
            "tags": list(rule.references),
        }
        if rule.references:
            described["framework"] = PolicyComplianceFramework(reference="; ".join(rule.references))
        if rule.parameters:
            schemas = {name: dict(schema) for name, schema in rule.parameters.items()}
            described["config_schema"] = PolicyConfigSchema(schemas)
        if rule.judge is not None:
            described["remediate"] = rule.repair and (lambda args: _repaired(rule, args))
            return ResourceValidationPolicy(
                validate=lambda args, report: self._resource(rule, args, report), **described
            )
        return StackValidationPolicy(validate=lambda args, report: self._stack(rule, args, report), **described)

    def _parameters(self, rule: Rule, config: Mapping[str, Any] | None) -> Parameters:
        return {**environments.parameters(rule, self._environment), **(config or {})}

    def _resource(self, rule: Rule, args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type not in rule.types:
            return
        view = View(args.props, type=args.resource_type, name=args.name, urn=args.urn, protect=args.opts.protect)
        self._say(judge_resource(rule, view, self._parameters(rule, args.get_config()), self._waivers), report)

    def _stack(self, rule: Rule, args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [
            View(
                r.props,
                type=r.resource_type,
                name=r.name,
                urn=r.urn,
                protect=r.opts.protect,
                ignores=r.opts.ignore_changes or (),
            )
            for r in args.resources
        ]
        stack = Stack(resources, self._before)
        if rule.id == EXCEPTIONS_ARE_CURRENT.id:
            self._say(problems_of(self._waivers), report)
            return
        self._say(judge_stack(rule, stack, self._parameters(rule, args.get_config()), self._waivers), report)

    def _say(self, findings: Iterable[Finding], report: ReportViolation) -> None:
        unknown: Finding | None = None
        for finding in findings:
            self._write(finding)
            if finding.status is Status.VIOLATION:
                rule = RULES[finding.rule]
                subject = f"{finding.resource} " if finding.resource else "The stack "
                report(f"{subject}{finding.message}. {rule.remediation}", finding.urn or None)
            elif finding.status is Status.UNKNOWN:
                unknown = finding
        if unknown is not None:
            # The one way to say something that does not stop a run: Pulumi makes a warning of it.
            error = UnknownValueError("04da6b54-80e4-46f7-96ec-b56ff0331ba9", [])
            error.message = f"{unknown.resource or 'the stack'} {unknown.message}"
            raise error

    def _write(self, finding: Finding) -> None:
        if self._findings:
            with Path(self._findings).open("a", encoding="utf-8") as file:
                file.write(json.dumps(dataclasses.asdict(finding)) + "\n")


def _repaired(rule: Rule, args: ResourceValidationArgs) -> Any:
    if rule.repair is None or args.resource_type not in rule.types:
        return None
    return rule.repair(args.props)


def _before(path: str | None) -> list[View] | None:
    if not path:
        return None
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    return [
        View(item["props"], type=item["type"], name=item["name"], urn=item["urn"], protect=item["protect"])
        for item in found
    ]
