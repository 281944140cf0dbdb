"""The rules and the table of the CIS benchmark as pages of the documentation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from policies import cis, environments
from policies.catalogue import RULES
from policies.model import Rule


def rules() -> str:
    """Every rule, whole, in the order of the catalogue."""
    themes: dict[str, list[Rule]] = {}
    for rule in RULES.values():
        themes.setdefault(_theme(rule), []).append(rule)
    lines = [
        "# The rules",
        "",
        f"{len(RULES)} rules judge every preview and every `up`. Written from `policies/`; a test says when this page",
        "is not current. `./pidea policy explain RULE` prints the same.",
        "",
        "| rule | severity | staging | prod | what it asks for |",
        "| --- | --- | --- | --- | --- |",
        *(_row(rule) for rule in RULES.values()),
    ]
    for theme, of_it in themes.items():
        lines += ["", f"## `policies/rules/{theme}.py`"]
        for rule in of_it:
            lines += ["", *_whole(rule)]
    return "\n".join(lines) + "\n"


def benchmark() -> str:
    """The table of the CIS benchmark: which of our rules judge each of its rules, and what is left to a smoke test."""
    before = sum(1 for row in cis.TABLE if not row.smoke_test)
    both = sum(1 for row in cis.TABLE if row.smoke_test and row.rules)
    after = len(cis.TABLE) - before - both
    lines = [
        "# CIS Docker Benchmark 1.6, sections 5 and 7",
        "",
        f"Of {len(cis.TABLE)} rules {before} are judged at preview alone, {both} at preview and after the deployment,",
        f"and {after} after the deployment alone: `tests/smoke/test_cis.py` has a test of that id.",
        "Written from `policies/cis.py`; titles are ours.",
        "",
        "| | the benchmark's rule | rules of ours | smoke test | what a preview cannot see |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in cis.TABLE:
        ours = ", ".join(f"[`{rule}`](rules.md#{rule})" for rule in row.rules)
        test = f"`{row.smoke_test}`" if row.smoke_test else ""
        lines.append(f"| {row.id} | {row.title} | {ours} | {test} | {row.beyond_preview} |")
    return "\n".join(lines) + "\n"


def _theme(rule: Rule) -> str:
    """The module that the rule's function is in."""
    judge = rule.judge or rule.judge_stack
    return judge.__module__.rpartition(".")[2] if judge else ""


def _row(rule: Rule) -> str:
    levels = [environments.level(rule, name).value for name in (environments.STAGING, environments.PROD)]
    return f"| [`{rule.id}`](#{rule.id}) | {rule.severity} | {levels[0]} | {levels[1]} | {rule.title} |"


def _whole(rule: Rule) -> list[str]:
    judged = ", ".join(kind.rpartition(":")[2] for kind in rule.types) or "the whole stack"
    lines = [f"### {rule.id}", "", f"{rule.title}. {rule.description}", "", f"- To repair it: {rule.remediation}"]
    lines += [f"- Severity {rule.severity}; judges {judged}."]
    lines += [f"- References: {'; '.join(rule.references)}."] if rule.references else []
    lines += ["- Repairs by itself at Pulumi's level `remediate`, where somebody asks for that."] if rule.repair else []
    if rule.parameters:
        lines += ["", "| parameter | what it is | schema | staging | prod |", "| --- | --- | --- | --- | --- |"]
        lines += [_parameter(rule, name) for name in rule.parameters]
    return lines


def _parameter(rule: Rule, name: str) -> str:
    schema = dict(rule.parameters[name])
    text = schema.pop("description", "")
    values = [
        _plain(environments.parameters(rule, environment).get(name))
        for environment in (environments.STAGING, environments.PROD)
    ]
    return f"| `{name}` | {text} | {_plain(schema)} | {values[0]} | {values[1]} |"


def _plain(value: object) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


# What stands in docs/policies/, and who writes it.
PAGES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType({"rules.md": rules, "cis.md": benchmark})
