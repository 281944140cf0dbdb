"""A loss is found, and what is none is not."""

from __future__ import annotations

from ops.chaos import checks
from ops.chaos.records import Outcome, Store
from tests.unit.chaos.observed import BEGIN, request, sample, write


def test_an_acknowledged_write_that_is_not_stored_is_lost() -> None:
    kept, gone = write(1), write(2)
    assert checks.lost([kept, gone], {kept.id}) == [gone.id]


def test_a_write_that_was_never_acknowledged_is_no_loss() -> None:
    assert checks.lost([write(1, outcome=Outcome.FAILED), write(2, outcome=Outcome.ACCEPTED)], set()) == []


def test_the_same_number_in_another_store_is_another_write() -> None:
    assert checks.lost([write(1)], {write(1, store=Store.STICKY).id}) == [write(1).id]


def test_a_message_that_was_answered_with_success_and_is_not_stored_is_lost() -> None:
    answered = [request(1, content="kept", status=201), request(2, content="gone", status=201)]
    assert checks.lost_messages(answered, ["kept"]) == ["gone"]


def test_a_message_whose_write_failed_is_no_loss() -> None:
    assert checks.lost_messages([request(1, content="x", status=503), request(2, content="y", status=0)], []) == []


def test_a_message_that_is_stored_twice_is_found() -> None:
    assert checks.duplicates(["a", "b", "a"]) == ["a"]


def test_an_isolated_primary_s_writes_are_counted_and_timed() -> None:
    before, gone, later, elsewhere = (
        write(at, store=Store.STICKY, outcome=Outcome.ACCEPTED) for at in (9, 11, 12.5, 13)
    )
    found = checks.isolated([before, gone, later], [1], BEGIN + 10, {before.id})
    assert (found.writes, found.seconds) == (2, 2.5)
    # Still there: the primary was the right one.
    assert checks.isolated([elsewhere], [1], BEGIN + 10, {elsewhere.id}).writes == 0
    # Not cut off.
    assert checks.isolated([gone], [2], BEGIN + 10, set()).writes == 0


def test_two_primaries_that_one_client_could_write_to_are_found() -> None:
    both = {"redis-1": {"role": "master", "writable": True}, "redis-2": {"role": "master", "writable": True}}
    assert checks.two_primaries([sample(1), sample(2, redis=both)]) == [sample(2, redis=both)]
    assert len(checks.two_primaries([sample(1, postgres={"postgres-1": "primary", "postgres-2": "primary"})])) == 1


def test_a_primary_that_takes_no_writes_is_not_a_second_one() -> None:
    left = {"redis-1": {"role": "master", "writable": False}, "redis-2": {"role": "master", "writable": True}}
    assert checks.two_primaries([sample(1, redis=left)]) == []
    alone = {"postgres-1": "primary without standbys", "postgres-2": "primary"}
    assert checks.two_primaries([sample(1, postgres=alone)]) == []
    assert sample(1, postgres=alone).postgres_primaries() == ["postgres-1", "postgres-2"]


def test_two_servers_that_acknowledge_in_turn_are_found() -> None:
    writes = [write(1, server="a"), write(2, server="b"), write(3, server="a")]
    assert checks.interleaved(writes) == ["a after b, 1.0 s later"]


def test_an_answer_that_a_client_read_late_is_no_taking_turns() -> None:
    frozen = write(25, server="a", took=20)
    writes = [write(5, server="a"), write(8, server="b"), write(24, server="b"), frozen, write(26, server="b")]
    assert checks.interleaved(writes) == []
    # One that the first server took after the second one had spoken.
    again = write(9, server="a", took=0.5)
    assert checks.interleaved([write(5, server="a"), write(8, server="b"), again]) == ["a after b, 1.0 s later"]


def test_one_failover_is_no_taking_turns() -> None:
    assert checks.interleaved([write(1, server="a"), write(2, server="a"), write(3, server="b")]) == []


def test_a_way_back_after_a_while_is_no_taking_turns() -> None:
    assert checks.interleaved([write(1, server="a"), write(3, server="b"), write(25, server="a")]) == []
