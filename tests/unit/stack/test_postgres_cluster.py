"""What the members say of themselves, judged: when the cluster is whole, and when a hand-over is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest

from ops.cluster.members import MemberError
from ops.cluster.postgres import MAX_LAG_BYTES, Member, Standby, candidate, hand_over, look, member_names, problems
from ops.errors import DeployError

SYNC = Standby(state="streaming", is_synchronous=True, lag_bytes=0)
ASYNC = Standby(state="streaming", is_synchronous=False, lag_bytes=0)
PRIMARY = Member(name="postgres-1", role="primary", timeline=3, standbys={"postgres-2": SYNC, "postgres-3": ASYNC})
TWO = Member(name="postgres-2", role="standby", timeline=3, is_streaming=True, source="p1")
THREE = Member(name="postgres-3", role="standby", timeline=3, is_streaming=True, source="p1")
GONE = Member(name="postgres-3", role="unknown", problem="postgres-3 does not run")


def standbys(**changed: Any) -> Member:
    """The primary, whose third member is otherwise."""
    return dataclasses.replace(
        PRIMARY, standbys={**PRIMARY.standbys, "postgres-3": dataclasses.replace(ASYNC, **changed)}
    )


def test_a_whole_cluster_is_handed_to_the_synchronous_standby() -> None:
    assert problems((PRIMARY, TWO, THREE)) == []
    assert candidate((PRIMARY, TWO, THREE)) == ("postgres-1", "postgres-2")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ((PRIMARY, TWO, GONE), "postgres-3: postgres-3 does not run"),
        ((TWO, THREE), "PostgreSQL has 0 primaries (none), not 1"),
        (
            (PRIMARY, dataclasses.replace(TWO, role="primary"), THREE),
            "PostgreSQL has 2 primaries (postgres-1, postgres-2), not 1",
        ),
        (
            (dataclasses.replace(PRIMARY, standbys={"postgres-2": SYNC}), TWO, THREE),
            "postgres-3 does not stream from postgres-1",
        ),
        ((standbys(state="catchup"), TWO, THREE), "postgres-3 does not stream from postgres-1"),
        (
            (PRIMARY, TWO, dataclasses.replace(THREE, is_streaming=False)),
            "postgres-3 does not stream from postgres-1",
        ),
        (
            (standbys(lag_bytes=MAX_LAG_BYTES + 1), TWO, THREE),
            f"postgres-3 is {MAX_LAG_BYTES + 1} bytes behind postgres-1",
        ),
        ((PRIMARY, TWO, dataclasses.replace(THREE, timeline=2)), "postgres-3 is on timeline 2, postgres-1 on 3"),
        (
            (dataclasses.replace(PRIMARY, standbys={"postgres-2": ASYNC, "postgres-3": ASYNC}), TWO, THREE),
            "no standby of postgres-1 is synchronous: its writes wait",
        ),
    ],
)
def test_what_is_not_whole_is_said_and_not_handed_over(members: Sequence[Member], expected: str) -> None:
    assert expected in problems(members)
    with pytest.raises(DeployError, match="cannot be handed over now"):
        candidate(members)


def test_as_much_lag_as_is_allowed() -> None:
    assert problems((standbys(lag_bytes=MAX_LAG_BYTES), TWO, THREE)) == []


def test_members_by_the_number_of_standbys() -> None:
    assert member_names(2) == ("postgres-1", "postgres-2", "postgres-3")


@pytest.mark.parametrize("said", ["", "psql: error", "{"])
def test_what_cannot_be_understood_is_unknown(said: str) -> None:
    def run(member: str, command: Sequence[str], stdin: str = "", /) -> str:
        return said

    assert look(run, "postgres-1").role == "unknown"


def test_a_member_that_cannot_be_asked_is_unknown_and_says_why() -> None:
    def run(member: str, command: Sequence[str], stdin: str = "", /) -> str:
        raise MemberError("it does not run")

    assert look(run, "postgres-1") == Member(name="postgres-1", role="unknown", problem="it does not run")


def test_nothing_is_touched_where_the_cluster_is_not_whole() -> None:
    asked: list[Sequence[str]] = []

    def run(member: str, command: Sequence[str], stdin: str = "", /) -> str:
        asked.append(command)
        return json.dumps({"standby": True, "timeline": 1, "source": None, "streaming": False, "standbys": {}})

    with pytest.raises(DeployError, match="0 primaries"):
        hand_over(run, ("postgres-1", "postgres-2"))
    assert {command[0] for command in asked} == {"psql"}
    assert len(asked) == 2


class Cluster:
    """Three members, of which Patroni answers to requests for a hand-over what it is told to, the last one for good."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.primary = "postgres-1"

    def run(self, member: str, command: Sequence[str], stdin: str = "", /) -> str:
        if command[0] == "python3":
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if answer.startswith("200"):
                self.primary = json.loads(stdin)["candidate"]
            return answer
        if member != self.primary:
            return json.dumps({"standby": True, "timeline": 1, "source": "p", "streaming": True, "standbys": {}})
        others = sorted({"postgres-1", "postgres-2", "postgres-3"} - {member})
        standbys = {
            name: {"state": "streaming", "sync": sync, "lag": 0}
            for name, sync in zip(others, ("sync", "async"), strict=True)
        }
        return json.dumps({"standby": False, "timeline": 1, "source": None, "streaming": False, "standbys": standbys})


def test_a_standby_that_etcd_does_not_name_yet_is_waited_for() -> None:
    cluster = Cluster("412 candidate name does not match with sync_standby", "200 Successfully switched over")
    said: list[str] = []
    assert hand_over(cluster.run, member_names(2), say=said.append) == "postgres-2"
    assert said == ["handing PostgreSQL over from postgres-1 to postgres-2"]


def test_what_patroni_refuses_is_said_in_its_words() -> None:
    cluster = Cluster("503 Switchover failed")
    with pytest.raises(DeployError, match="postgres-1 refused the hand-over: 503 Switchover failed"):
        hand_over(cluster.run, member_names(2), say=lambda _: None)
