"""Which tasks of the application have to move, from what the engine says of nodes and tasks."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from ops.stack.rebalance import Spread, spread_of


def spread(*counts: int) -> Spread:
    return Spread(tasks={f"node-{number}": count for number, count in enumerate(counts, 1)}, wanted=sum(counts))


@pytest.mark.parametrize(
    ("counts", "moves"),
    [
        ((1, 1, 1), 0),
        ((2, 1, 1), 0),
        ((2, 1, 0), 1),
        ((0, 2, 2), 1),
        ((3, 0, 0), 2),
        ((2, 2, 0), 1),
        ((4, 4, 0), 2),
        ((5, 1, 0), 3),
        ((1, 0, 0), 0),
        ((3,), 0),
        ((), 0),
    ],
)
def test_only_what_has_to_move_does(counts: tuple[int, ...], moves: int) -> None:
    assert spread(*counts).moves == moves


def test_that_many_starts_and_ends_make_it_even() -> None:
    """As Swarm does it: new ones where there are fewest, ended ones from where there are most."""
    for counts in product(range(5), repeat=3):
        found = list(counts)
        moves = spread(*counts).moves
        for _ in range(moves):
            found[found.index(min(found))] += 1
        for _ in range(moves):
            found[found.index(max(found))] -= 1
        assert max(found) - min(found) <= 1, counts
        assert (moves == 0) == (max(counts) - min(counts) <= 1)


def node(number: int, state: str = "ready", availability: str = "active", name: str = "") -> dict[str, Any]:
    return {
        "ID": f"id-{number}",
        "Description": {"Hostname": name or f"node-{number}"},
        "Status": {"State": state},
        "Spec": {"Availability": availability},
    }


def task(number: int, state: str = "running", desired: str = "running") -> dict[str, Any]:
    return {"NodeID": f"id-{number}", "Status": {"State": state}, "DesiredState": desired}


def test_a_node_that_takes_no_tasks_is_no_place() -> None:
    nodes = [node(1), node(2), node(3, availability="drain"), node(4, state="down"), node(5, availability="pause")]
    assert spread_of(nodes, [task(1), task(1)], 2).tasks == {"node-1": 2, "node-2": 0}


def test_only_tasks_that_run_and_shall_run_count() -> None:
    tasks = [
        task(1),
        task(1, desired="shutdown"),
        task(2, state="starting"),
        task(2, state="failed", desired="shutdown"),
    ]
    tasks.append({"Status": {"State": "pending"}, "DesiredState": "running"})
    assert spread_of([node(1), node(2)], tasks, 3) == Spread(tasks={"node-1": 1, "node-2": 0}, wanted=3)


def test_nodes_of_one_name_are_told_apart() -> None:
    found = spread_of([node(1, name="same"), node(2, name="same")], [task(1), task(1)], 2)
    assert sorted(found.tasks.values()) == [0, 2]


def test_it_says_where_they_are() -> None:
    assert spread(2, 0).text == "node-1: 2, node-2: 0"
