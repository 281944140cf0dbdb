"""The table of the benchmark is complete, and what it says of our rules is true."""

from __future__ import annotations

import dataclasses

import pytest

from policies import cis
from policies.catalogue import RULES

SECTIONS = ("5", "7")
# Those that the benchmark judges of running containers, or of the swarm, and no property of a resource tells.
AFTER_DEPLOYMENT_ALONE = {
    *("5.1", "5.14", "5.21", "5.23", "5.24", "5.29"),
    *("7.1", "7.2", "7.5", "7.6", "7.7", "7.8", "7.9"),
}
SEEN_BEFORE_ENTIRELY = {
    *("5.4", "5.5", "5.6", "5.8", "5.9", "5.10", "5.11", "5.12", "5.13", "5.15", "5.16", "5.17", "5.18", "5.20"),
    *("5.27", "5.31", "5.32", "7.3", "7.4"),
}


def test_every_rule_of_both_sections_is_there_once_and_in_order() -> None:
    wanted = [*(f"5.{number}" for number in range(1, 33)), *(f"7.{number}" for number in range(1, 10))]
    assert [row.id for row in cis.TABLE] == wanted


def test_titles_and_rules_are_not_there_twice() -> None:
    titles = [row.title for row in cis.TABLE]
    assert len(set(titles)) == len(titles)
    for row in cis.TABLE:
        assert len(set(row.rules)) == len(row.rules), row.id
        assert row.title, row.id
        assert not row.title.endswith("."), row.id


def test_every_row_is_judged_somewhere() -> None:
    assert {row.id for row in cis.TABLE if not row.rules} == AFTER_DEPLOYMENT_ALONE
    assert {row.id for row in cis.TABLE if not row.smoke_test} == SEEN_BEFORE_ENTIRELY
    for row in cis.TABLE:
        assert row.rules or row.smoke_test, row.id


def test_a_smoke_test_has_a_reason_and_the_row_s_name() -> None:
    for row in cis.TABLE:
        assert row.smoke_test in ("", f"cis-{row.id}")
        assert bool(row.smoke_test) == bool(row.beyond_preview), row.id
        if row.beyond_preview:
            assert row.beyond_preview.endswith("."), row.id


def test_a_row_is_what_it_is() -> None:
    row = cis.Row(id="5.99", title="Nothing happens", rules=("nothing",))
    assert (row.reference, row.smoke_test) == ("CIS Docker 1.6: 5.99", "")
    later = dataclasses.replace(row, beyond_preview="Nobody knows.")
    assert later.smoke_test == "cis-5.99"
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.title = "Other"  # type: ignore[misc]


# Against whatever the catalogue has: a rule that is renamed or taken out must not stay in the table.
@pytest.mark.parametrize("rule", sorted({rule for row in cis.TABLE for rule in row.rules}))
def test_a_rule_of_the_table_is_in_the_catalogue(rule: str) -> None:
    assert rule in RULES


REFERENCES = [
    (rule.id, reference)
    for rule in RULES.values()
    for reference in rule.references
    if reference.startswith(tuple(f"CIS Docker 1.6: {section}." for section in SECTIONS))
]


@pytest.mark.parametrize(("rule", "reference"), REFERENCES)
def test_a_rule_that_names_the_benchmark_stands_in_the_table(rule: str, reference: str) -> None:
    assert rule in {name for row in cis.TABLE if row.reference == reference for name in row.rules}


def test_references_name_the_edition_that_the_table_is_of() -> None:
    for rule in RULES.values():
        for reference in rule.references:
            if reference.startswith("CIS"):
                edition, _, number = reference.partition(": ")
                assert edition == "CIS Docker 1.6", rule.id
                assert number.partition(".")[0] in ("4", *SECTIONS), rule.id
