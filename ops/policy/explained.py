"""Rules for people, and for scripts."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Final

from policies import environments
from policies.catalogue import RULES
from policies.model import Rule

_WIDTH: Final = 100


def text(rules: Sequence[Rule] | None) -> str:
    """One rule, whole; or a line for each of them (None: all)."""
    if rules is None:
        width = max(len(rule) for rule in RULES)
        return "\n".join(f"{rule.id:{width}}  {rule.severity:8}  {rule.title}" for rule in RULES.values())
    return "\n\n".join(_whole(rule) for rule in rules)


def as_json(rules: Sequence[Rule] | None) -> str:
    """The same for scripts."""
    return json.dumps([_plain(rule) for rule in (RULES.values() if rules is None else rules)], indent=2)


def _whole(rule: Rule) -> str:
    levels = ", ".join(f"{name}: {environments.level(rule, name)}" for name in environments.LEVELS)
    lines = [f"{rule.id}: {rule.title}", "", *textwrap.wrap(rule.description, _WIDTH), ""]
    lines += [f"Severity   {rule.severity}", f"Level      {levels}"]
    lines += [f"Reference  {reference}" for reference in rule.references]
    for name in rule.parameters:
        values = ", ".join(
            f"{environment}: {environments.parameters(rule, environment).get(name, '(not set)')}"
            for environment in environments.LEVELS
        )
        lines.append(f"Parameter  {name} ({values}). {rule.parameters[name].get('description', '')}".rstrip())
    lines += ["Repairs    by itself at Pulumi's level `remediate`"] if rule.repair else []
    return "\n".join([*lines, "", "How to repair it:", *textwrap.wrap(rule.remediation, _WIDTH)])


def _plain(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": rule.severity,
        "description": rule.description,
        "remediation": rule.remediation,
        "references": list(rule.references),
        "levels": {name: environments.level(rule, name) for name in environments.LEVELS},
        "parameters": {
            name: {
                environment: environments.parameters(rule, environment).get(name) for environment in environments.LEVELS
            }
            for name in rule.parameters
        },
        "repairs": rule.repair is not None,
    }
