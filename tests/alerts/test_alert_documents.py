"""The table of the alerts is that of the cases, and wrong alerts are made as they are meant to be."""

from __future__ import annotations

import os
import re

import pytest

from ops.alerts.page import BEGIN, PAGE
from tests.alerts.mutants.sites import mutants
from tests.alerts.proof import page
from tests.alerts.rules import REPOSITORY, alerts


def test_the_table_is_that_of_the_cases() -> None:
    if os.environ.get("PIDEA_UPDATE_GOLDENS"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page()
    table, _, _ = page().partition(BEGIN)
    assert "**no**" not in table
    assert table.count("\n| Pidea") == len(alerts())


def test_all_but_few_wrong_alerts_are_noticed() -> None:
    text = (REPOSITORY / "docs" / "alert-mutants.md").read_text()
    found = re.search(r"\*\*(\d+) of (\d+) are noticed", text)
    assert found is not None
    assert int(found[1]) / int(found[2]) >= 0.95
    assert set(re.findall(r"^\| (Pidea\w+)", text, re.MULTILINE)) <= {alert.name for alert in alerts()}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('up{job="a>b"} == 0', ['up{job="a>b"} != 0']),
        ("a > 0.5", ["a < 0.5", "a > 1"]),
        (
            "a:b:c > on () group_left () x:y:z",
            ["a:b:c < on () group_left () x:y:z", "a:b:c > on () group_left () (2 * x:y:z)"],
        ),
        ('a{b!="c", d=~"e"} >= -3 and b != 1', None),
    ],
)
def test_one_thing_is_changed_at_a_time(expression: str, expected: list[str] | None) -> None:
    found = [mutant.rule["expr"] for mutant in mutants({"alert": "X", "expr": expression})]
    if expected is None:
        expected = [
            'a{b!="c", d=~"e"} <= -3 and b != 1',
            'a{b!="c", d=~"e"} >= -6 and b != 1',
            'a{b!="c", d=~"e"} >= -3 and b == 1',
            'a{b!="c", d=~"e"} >= -3 and b != 2',
        ]
    assert found == expected


def test_waiting_is_taken_away() -> None:
    (found,) = mutants({"alert": "X", "expr": "absent(up)", "for": "1m"})
    assert found.rule == {"alert": "X", "expr": "absent(up)"}
