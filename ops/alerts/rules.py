"""The alerts that there are, as the rules have them."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping

import yaml

from infra.plan.prometheus import RULES

_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert: `service` may be a label that is known only when it fires; it waits for `waits_seconds`."""

    name: str
    severity: str
    service: str
    waits_seconds: int

    @property
    def is_page(self) -> bool:
        """Whether somebody is woken by it."""
        return self.severity == "critical"


@functools.cache
def alerts() -> Mapping[str, Alert]:
    """Every alert by its name."""
    found = {}
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found[rule["alert"]] = Alert(
                        name=rule["alert"],
                        severity=rule["labels"]["severity"],
                        service=rule["labels"]["service"],
                        waits_seconds=_seconds(rule.get("for", "0s")),
                    )
    return found


def _seconds(text: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smh])", text))
