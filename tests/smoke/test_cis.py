"""CIS Docker Benchmark 1.6, sections 5 and 7: what no preview can judge, on the stack that came up."""

from __future__ import annotations

import pytest

from policies.cis import TABLE
from tests.stack import cis
from tests.stack.instance import Instance


def test_every_row_that_asks_for_one_has_a_check() -> None:
    assert {row.smoke_test for row in TABLE if row.smoke_test} == set(cis.CHECKS)


@pytest.mark.parametrize("rule", cis.CHECKS)
def test_cis(stack: Instance, rule: str) -> None:
    for engine in stack.engines.values():
        cis.CHECKS[rule](cis.subject_on(engine, stack))
