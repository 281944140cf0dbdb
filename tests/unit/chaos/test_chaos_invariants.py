"""How many tasks of a service are right, on a whole swarm and on one that lost a node."""

from __future__ import annotations

import pytest

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from ops.chaos import invariants
from tests.unit.infra.conftest import read_config

PROD = {spec.name: spec for spec in build_plan(StackSettings.from_config(read_config("prod"))).services}


@pytest.mark.parametrize(
    ("service", "here", "gone", "found"),
    [
        ("redis-1", 1, (), []),
        ("redis-1", 0, (), ["redis-1: 0 of 1 tasks run"]),
        ("redis-1", 2, (), ["redis-1: 2 tasks run, 1 wanted"]),
        ("redis-1", 0, (1,), []),
        ("redis-2", 0, (1,), ["redis-2: 0 of 1 tasks run"]),
        # Its volume is on the first node, and its name says nothing of that.
        ("jaeger", 0, (1,), []),
        ("jaeger", 0, (2,), ["jaeger: 0 of 1 tasks run"]),
        # One on each node, and not more of them where one is gone.
        ("edge", 3, (), []),
        ("edge", 2, (), ["edge: 2 of 3 tasks run"]),
        ("edge", 2, (1,), []),
        ("edge", 4, (), ["edge: 4 tasks run, 3 wanted"]),
    ],
)
def test_tasks_of_a_service(service: str, here: int, gone: tuple[int, ...], found: list[str]) -> None:
    assert invariants.of_service(PROD[service], here, nodes=3, ignore=frozenset(gone)) == found


def test_tasks_of_a_node_that_is_gone_count_no_more() -> None:
    listed = [{"ID": f"id-{slot}", "Spec": {"Labels": {names.SLOT_LABEL: str(slot)}}} for slot in (1, 2, 3)]
    listed.append({"ID": "another", "Spec": {}})
    assert invariants.lost_nodes(listed, frozenset({2})) == {"id-2"}
    assert invariants.lost_nodes(listed, frozenset()) == set()
