"""Names in the pack's configuration that nobody reads are refused, with what was meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from policies.catalogue import RULES
from policies.configuration import problems

LIST = "`./pidea policy explain` lists them"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"all": []}, []),
        ({"logs-bounded": []}, []),
        ({"logs-bounded": ["max_mib", "remote_drivers"]}, []),
        (dict.fromkeys(RULES, ()), []),
        ({rule.id: list(rule.parameters) for rule in RULES.values()}, []),
        ({"all": ["max_mib"]}, ["all.max_mib: parameters are given rule by rule"]),
        (
            {"logs-boundd": ["x"]},
            [f"logs-boundd: there is no such rule (did you mean logs-bounded?); {LIST}"],
        ),
        ({"zzz": []}, [f"zzz: there is no such rule; {LIST}"]),
        (
            {"logs-bounded": ["max_mb", "max_mib"]},
            ["logs-bounded.max_mb: the rule has no such parameter; it has max_mib, remote_drivers"],
        ),
        ({"is-waited-for": ["y"]}, ["is-waited-for.y: the rule has no such parameter; it has none"]),
        (
            {"zzz": [], "all": ["a"]},
            [f"zzz: there is no such rule; {LIST}", "all.a: parameters are given rule by rule"],
        ),
    ],
)
def test_what_is_wrong_with_names(given: Mapping[str, Collection[str]], expected: list[str]) -> None:
    assert problems(given) == expected
