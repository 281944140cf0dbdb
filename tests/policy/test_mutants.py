"""The measurement of the tests can be trusted: it makes the changes that it says, and tells noticed from unnoticed."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.policy.mutants import report, running
from tests.policy.mutants.sites import mutants

SOURCE = '''
"""Says what it does."""
from __future__ import annotations

LIMIT: Final[int] = 3


def judged(given: str, most: int = 1) -> bool:
    """Says it too."""
    if given != "x" and len(given) < most:
        return True
    return not given.startswith(f"a{most}")
'''


def changes(source: str) -> set[str]:
    return {f"{item.before} → {item.after}" for item in mutants(source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"a < b → a <= b", "a < b → a >= b"}),
        ("a < b <= c", {f"a < b <= c → {x}" for x in ("a <= b <= c", "a >= b <= c", "a < b < c", "a < b > c")}),
        ("a in b", {"a in b → a not in b"}),
        ("a or b", {"a or b → a and b"}),
        ("not a", {"not a → a"}),
        ("a + 1", {"a + 1 → a - 1", "1 → 2"}),
        ("x = True", {"True → False", "x = True → x = None"}),
        ("x = None", set()),
        ("f(a, *b, c=1)", {"f(a, *b, c=1) → f(None, *b, c=1)", "f(a, *b, c=1) → f(a, *b)", "1 → 2"}),
        ("a if b else c", {"a if b else c → a", "a if b else c → c"}),
        ("f'{a:02d}b'", {"f'{a:02d}b' → f'XX{a:02d}bXX'"}),
        ("[a for a in b if a]", {" for a in b if a →  for a in b"}),
    ],
)
def test_what_an_expression_is_changed_into(source: str, expected: set[str]) -> None:
    # A statement that is a lone expression can be left out as well.
    assert changes(source) - {f"{source} → pass"} == expected


def test_types_and_docstrings_are_left_alone() -> None:
    texts = [item.before for item in mutants(SOURCE)]
    assert "int" not in texts
    assert not [text for text in texts if "Says" in text]


def test_a_mutant_has_one_change_and_the_rest_as_it_was() -> None:
    original = ast.unparse(ast.parse(SOURCE)).splitlines()
    found = mutants(SOURCE)
    assert len(found) > 15
    for mutant in found:
        changed = ast.unparse(mutant.applied(SOURCE)).splitlines()
        if len(changed) == len(original):
            assert sum(a != b for a, b in zip(original, changed, strict=True)) == 1, mutant
        compile(mutant.applied(SOURCE), "x", "exec")


def test_every_module_of_rules_is_measured_by_tests_that_exist() -> None:
    rules = set((report.POLICIES / "rules").glob("*.py")) - {report.POLICIES / "rules" / "__init__.py"}
    assert rules <= set(report.MODULES)
    for names in report.MODULES.values():
        for name in names:
            assert (running.TESTS / name).is_file()


PROGRAM = """
import dataclasses, sys
from tests.policy.mutants import running
from tests.policy.mutants.sites import mutants

module = running.REPOSITORY / "policies" / "judge.py"
source = module.read_text()
noticed = next(item for item in mutants(source) if item.before.startswith("judge is None or"))
imports = noticed.applied(source).body[1]
nothing = dataclasses.replace(noticed, path=(("body", 1),), node=imports)
constant = next(item for item in mutants(source) if item.before == "'cannot be judged until deployed'")
assert (noticed.inside, constant.inside) == (True, False)
measurement = running.Measurement(module, [noticed, nothing, constant], [running.TESTS / "test_judge.py"], jobs=1)
measurement.run()
print([outcome.killed_by for outcome in measurement.outcomes])
"""


def test_noticed_and_unnoticed_changes_are_told_apart() -> None:
    """For real, in a process of its own, as each mutant's process is a copy of it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=running.REPOSITORY, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines()[-1] == "['tests', '', 'tests']"
