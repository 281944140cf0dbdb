"""A review as Markdown for a pull request, as SARIF, JUnit and JSON for tools."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final
from xml.etree import ElementTree as ET  # only written, never read

from ops.policy.review import Review
from policies.catalogue import RULES
from policies.model import Finding, Level, Severity, Status

# Where a comment of an earlier run is found again.
MARKER: Final = "<!-- pidea-policy-report {stack} -->"
_SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
# GitHub's scale, on which it sorts alerts.
_SCORES: Final = {Severity.LOW: "3.0", Severity.MEDIUM: "5.5", Severity.HIGH: "8.0", Severity.CRITICAL: "9.5"}
_MAX_CHANGES: Final = 60


def markdown(review: Review) -> str:
    """What a reviewer reads: the verdict, then what objects and how to repair it, then the rest."""
    violations, waived, unknown = (review.of(status) for status in (Status.VIOLATION, Status.WAIVED, Status.UNKNOWN))
    lines = [MARKER.format(stack=review.stack), f"### Policies: {review.stack}", "", _verdict(review), ""]
    lines += [f"Compared with {review.source}: {_counts(review)}.", ""]
    if violations:
        lines += ["| | rule | resource | what is wrong | how to repair it |", "| --- | --- | --- | --- | --- |"]
        lines += [_violation(review, finding) for finding in violations] + [""]
    if waived:
        lines += [f"<details><summary>{_number(len(waived), 'finding')} waived</summary>", ""]
        lines += ["| rule | resource | why | who | until |", "| --- | --- | --- | --- | --- |"]
        lines += [_waived(review, finding) for finding in waived] + ["", "</details>", ""]
    if unknown:
        lines += [f"<details><summary>{_number(len(unknown), 'judgement')} only after deployment</summary>", ""]
        lines += [f"- {_code(item.rule)} {_escaped(item.resource)} {_escaped(item.message)}" for item in unknown]
        lines += ["", "</details>", ""]
    if review.changes:
        lines += [f"<details><summary>{_number(len(review.changes), 'change')}</summary>", ""]
        lines += [f"- {_escaped(change)}" for change in review.changes[:_MAX_CHANGES]]
        if len(review.changes) > _MAX_CHANGES:
            lines.append(f"- … and {len(review.changes) - _MAX_CHANGES} more")
        lines += ["", "</details>", ""]
    return "\n".join(lines)


def as_json(review: Review) -> str:
    """All of it."""
    content = {
        "stack": review.stack,
        "environment": review.environment,
        "source": review.source,
        "refused": review.refused,
        "changes": {"counts": dict(review.counts), "resources": list(review.changes)},
        "findings": [
            {**dataclasses.asdict(item), "level": review.level(item), "severity": RULES[item.rule].severity}
            for item in review.findings
        ],
        "waivers": [{**dataclasses.asdict(item), "expires": item.expires.isoformat()} for item in review.waivers],
    }
    return json.dumps(content, indent=2)


def sarif(review: Review) -> str:
    """For code scanning: a result for each violation, and for each waived one with its justification."""
    rules = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.description},
            "help": {"text": rule.remediation},
            "properties": {"security-severity": _SCORES[rule.severity], "tags": list(rule.references)},
        }
        for rule in RULES.values()
    ]
    results = [_result(review, item) for item in review.findings if item.status is not Status.UNKNOWN]
    tool = {"driver": {"name": "pidea-policies", "rules": rules}}
    run = {"tool": tool, "results": results, "automationDetails": {"id": f"pidea/{review.stack}/"}}
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def junit(review: Review) -> str:
    """A test case for each rule: failed where it is mandatory and broken, skipped where it cannot be judged."""
    cases = ET.Element("testsuite", name=f"policies {review.stack}", tests=str(len(RULES)))
    failures = skipped = 0
    for rule in RULES.values():
        case = ET.SubElement(cases, "testcase", classname=f"policies.{review.environment}", name=rule.id)
        broken = [item for item in review.of(Status.VIOLATION) if item.rule == rule.id]
        unknown = [item for item in review.of(Status.UNKNOWN) if item.rule == rule.id]
        text = "\n".join(f"{item.resource or 'the stack'} {item.message}" for item in broken)
        if broken and review.level(broken[0]) is Level.MANDATORY:
            failures += 1
            ET.SubElement(case, "failure", message=rule.title).text = f"{text}\n{rule.remediation}"
        elif broken:
            ET.SubElement(case, "system-out").text = text
        elif unknown:
            skipped += 1
            ET.SubElement(case, "skipped", message=f"{unknown[0].resource} {unknown[0].message}".strip())
    cases.set("failures", str(failures))
    cases.set("skipped", str(skipped))
    return ET.tostring(cases, encoding="unicode", xml_declaration=True)


FORMATS: Final[Mapping[str, tuple[str, Callable[[Review], str]]]] = MappingProxyType(
    {
        "markdown": ("policy-report.md", markdown),
        "sarif": ("policy-report.sarif", sarif),
        "junit": ("policy-report.junit.xml", junit),
        "json": ("policy-report.json", as_json),
    }
)


def _verdict(review: Review) -> str:
    violations = review.of(Status.VIOLATION)
    hard = [item for item in violations if review.level(item) is Level.MANDATORY]
    if hard:
        return f"**Refused**: {_number(len(hard), 'problem')} must be repaired first."
    if violations:
        return f"**Allowed**, with {_number(len(violations), 'warning')}."
    return "**Allowed**: no rule objects."


def _counts(review: Review) -> str:
    counts = ", ".join(f"{operation} {number}" for operation, number in review.counts.items())
    return f"would {counts}" if counts else "no changes"


def _violation(review: Review, finding: Finding) -> str:
    mark = "refused" if review.level(finding) is Level.MANDATORY else "warning"
    cells = (
        mark,
        _code(finding.rule),
        _escaped(finding.resource or "(the stack)"),
        _escaped(finding.message),
        _escaped(RULES[finding.rule].remediation),
    )
    return f"| {' | '.join(cells)} |"


def _waived(review: Review, finding: Finding) -> str:
    waiver = review.waiver(finding)
    why, who, until = (waiver.reason, waiver.owner, str(waiver.expires)) if waiver else ("", "", "")
    cells = (_code(finding.rule), _escaped(finding.resource or "(the stack)"), _escaped(why), _escaped(who), until)
    return f"| {' | '.join(cells)} |"


def _result(review: Review, finding: Finding) -> dict[str, Any]:
    level = "error" if review.level(finding) is Level.MANDATORY else "warning"
    place = {"physicalLocation": {"artifactLocation": {"uri": f"Pulumi.{review.environment}.yaml"}}}
    logical = {"logicalLocations": [{"name": finding.resource or review.stack, "fullyQualifiedName": finding.urn}]}
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": level,
        "message": {"text": f"{finding.resource or 'The stack'} {finding.message}."},
        "locations": [{**place, **logical}],
        "partialFingerprints": {"pidea/v1": f"{review.stack}:{finding.rule}:{finding.resource}:{finding.message}"},
    }
    waiver = review.waiver(finding) if finding.status is Status.WAIVED else None
    if waiver:
        text = f"{waiver.reason} ({waiver.owner}, until {waiver.expires})"
        result["suppressions"] = [{"kind": "external", "justification": text}]
    return result


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _code(text: str) -> str:
    return f"`{text}`"


def _escaped(text: str) -> str:
    """Nothing of a resource can be markup, end a table's cell or call for somebody."""
    for sign in "\\`*_<>[]|@":
        text = text.replace(
            sign, f"\\{sign}" if sign not in "<>@" else {"<": "&lt;", ">": "&gt;", "@": "@\u200b"}[sign]
        )
    return " ".join(text.split())
