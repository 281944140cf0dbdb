"""Wrong alerts made of right ones: a threshold twice as high, a comparison the other way round, no waiting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# What a comparison stands in is not looked at: label matchers, texts.
_MASKED = re.compile(r'\{[^}]*\}|"[^"]*"')
_COMPARISON = re.compile(r"(?<![<>=!~])(>=|<=|==|!=|>|<)(?![=~])")
# After the operator: how the sides are matched, then a number or a series.
_THRESHOLD = re.compile(r"\s*(?:(?:on|ignoring)\s*\([^)]*\)\s*)?(?:group_(?:left|right)\s*\([^)]*\)\s*)?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SERIES = re.compile(r"[a-z_]+:[\w:]+")
_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class Mutant:
    """One change of one alert: what is done to it, and the rule as it is then."""

    alert: str
    change: str
    rule: dict[str, Any]


def mutants(rule: dict[str, Any]) -> Iterator[Mutant]:
    """Every mutant of an alert as its file has it. Twice nothing is nothing, so a threshold of 0 is left out."""
    name, expression = rule["alert"], rule["expr"]
    if "for" in rule:
        yield Mutant(name, f"for {rule['for']} removed", {key: value for key, value in rule.items() if key != "for"})
    masked = _MASKED.sub(lambda found: " " * len(found[0]), expression)
    for comparison in _COMPARISON.finditer(masked):
        start, end = comparison.span(1)
        flipped = _FLIPPED[comparison[1]]
        yield Mutant(
            name,
            f"{_around(expression, start)}: {comparison[1]} becomes {flipped}",
            {**rule, "expr": expression[:start] + flipped + expression[end:]},
        )
        matched = _THRESHOLD.match(masked, end)
        assert matched is not None
        at = matched.end()
        number, series = _NUMBER.match(masked, at), _SERIES.match(masked, at)
        if number is not None and float(number[0]):
            doubled = f"{2 * float(number[0]):g}"
            yield Mutant(
                name,
                f"{_around(expression, start)}: {number[0]} becomes {doubled}",
                {**rule, "expr": expression[:at] + doubled + expression[number.end() :]},
            )
        elif series is not None and comparison[1] not in {"==", "!="}:
            yield Mutant(
                name,
                f"{_around(expression, start)}: {series[0]} is doubled",
                {**rule, "expr": f"{expression[:at]}(2 * {series[0]}){expression[series.end() :]}"},
            )


def _around(expression: str, position: int) -> str:
    """The part of the expression's line before a comparison, for a reader to find it."""
    return " ".join(expression[:position].splitlines()[-1].split())[-40:]
