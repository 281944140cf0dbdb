"""The alert rules as data, for the tests that hold them against tests, runbooks, the plan and the application."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
RULES = REPOSITORY / "infra" / "rules"
CASES = REPOSITORY / "tests" / "alerts"
# A metric with its matchers, if any: pg_up, up{job="app"}.
_METRIC = re.compile(r"\b(?P<name>(?:pidea|haproxy|pg|redis|node|otelcol)_\w+)(?:\{(?P<matchers>[^}]*)\})?")


@dataclass(frozen=True)
class Rule:
    """An alerting or recording rule, and the file that it stands in."""

    file: Path
    name: str
    expression: str
    is_alert: bool
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def metrics(self) -> dict[str, set[str]]:
        """Every exporter's metric that the expression names, and the labels that it picks by."""
        return metrics_of(self.expression)


def metrics_of(expression: str) -> dict[str, set[str]]:
    """Every exporter's metric that PromQL names, and the labels that it picks by; what rules recorded is left out."""
    found: dict[str, set[str]] = {}
    for match in _METRIC.finditer(re.sub(r"\b\w+:[\w:]+", "", expression)):
        labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", match["matchers"] or "")
        found.setdefault(match["name"], set()).update(labels)
    return found


def load(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping."""
    content = yaml.safe_load(path.read_text())
    assert isinstance(content, dict), path
    return content


def load_cases(path: Path) -> dict[str, Any]:
    """A file of cases as promtool reads it: a series of zeros, 0x80, is no number in hexadecimal."""
    content = yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506 - makes texts, lists and mappings alone
    assert isinstance(content, dict), path
    return content


def case_file(alert: Rule) -> Path:
    """Where the alert's cases are."""
    return CASES / f"{alert.name}.yml"


def rule_of(alert: Rule) -> dict[str, Any]:
    """The alert as its file has it."""
    (found,) = (
        rule for group in load(alert.file)["groups"] for rule in group["rules"] if rule.get("alert") == alert.name
    )
    return dict(found)


def rules() -> list[Rule]:
    """Every rule of every file."""
    return [
        Rule(
            file=path,
            name=rule.get("alert") or rule["record"],
            expression=rule["expr"],
            is_alert="alert" in rule,
            labels=rule.get("labels", {}),
            annotations=rule.get("annotations", {}),
        )
        for path in sorted(RULES.glob("*.yml"))
        for group in load(path)["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[Rule]:
    """Every alert."""
    return [rule for rule in rules() if rule.is_alert]
