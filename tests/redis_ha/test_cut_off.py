"""What a sentinel remembers of the time before it was cut off, and what it does with that afterwards."""

from __future__ import annotations

import pytest

from infra import names
from ops.cluster import redis as cluster
from tests.redis_ha.rig import ELSEWHERE, INSTANCE, NETWORK, ORDERS_SECONDS, Rig, docker

pytestmark = [pytest.mark.redis_ha, pytest.mark.timeout(600)]

STARTS_ANEW = "it starts anew"
# Within that a sentinel looks up the name of a server that it has lost; half of what it waits before it gives orders.
LATER_SECONDS = 4
# After that a sentinel is known not to have been alone since its start.
SEEN_SECONDS = 12


def uptime_seconds(rig: Rig, sentinel: str) -> int:
    said = dict(line.split(":", 1) for line in rig.redis(sentinel, "INFO", "server").splitlines() if ":" in line)
    return int(said["uptime_in_seconds"])


def remembered_role(rig: Rig, sentinel: str, server: str) -> str:
    """What a sentinel believes of a server that it has as a replica, from when it last heard of it."""
    said = rig.redis(sentinel, "SENTINEL", "REPLICAS", names.REDIS_PRIMARY).splitlines()
    of_each = "\n".join(said).split("\nname\n")
    (about,) = [one.splitlines() for one in of_each if f"{INSTANCE}-{server}" in one.splitlines()]
    return about[about.index("role-reported") + 1]


def test_a_primary_that_the_others_chose_meanwhile_is_not_ordered_back(rig: Rig) -> None:
    former, next_, third = rig.servers
    late = rig.sentinels[1]
    others = set(rig.sentinels) - {late}
    assert cluster.primary(rig.layout, rig.run) == former
    rig.redis(third, "CONFIG", "SET", "replica-priority", "0")

    # The primary stands still and comes back as one, until it is told better. One sentinel does not hear of that.
    docker("pause", rig.container(former))
    rig.wait(lambda: set(rig.primaries().values()) == {next_}, "the next primary is named by all")
    rig.redis(late, "SENTINEL", "DEBUG", "INFO-PERIOD", "600000")
    docker("unpause", rig.container(former))
    rig.wait(lambda: rig.follows(former) == next_ == rig.follows(third), "both follow the next primary")
    assert remembered_role(rig, late, former) == "master"
    rig.wait(lambda: "connected_slaves:2" in rig.redis(next_, "INFO", "replication"), "both are connected")

    # It is cut off with the primary; the others choose the former one again.
    away = [late, next_]
    for name in away:
        docker("network", "connect", ELSEWHERE, rig.container(name))
    for name in away:
        docker("network", "disconnect", NETWORK, rig.container(name))
    rig.wait(lambda: all(rig.primaries()[one] == former for one in others), "the former primary is named again")
    rig.wait(lambda: rig.follows(third) == former == rig.follows(former), "the third server follows it")
    rig.wait(lambda: "connected_slaves:1" in rig.redis(former, "INFO", "replication"), "it is connected")
    assert rig.redis(former, "SET", "pidea:acknowledged", "yes") == "OK"
    # A server that was down gets no orders for 8 s; the next word of it would be followed by one at once.
    rig.redis(late, "SENTINEL", "DEBUG", "INFO-PERIOD", "1000")
    rig.stays(lambda: rig.primaries()[late] == next_, "it stays with the primary beside it", ORDERS_SECONDS)
    # It hears from the former primary first, and from the others some seconds later.
    for name in others:
        docker("pause", rig.container(name))
    for name in away:
        rig.connect(name)
    rig.stays(lambda: rig.follows(former) == former == rig.follows(third), "both keep their roles", LATER_SECONDS)
    for name in others:
        docker("unpause", rig.container(name))
    rig.stays(lambda: rig.follows(former) == former == rig.follows(third), "both keep their roles", ORDERS_SECONDS)
    rig.wait(lambda: not cluster.problems(rig.layout, rig.run), "the cluster is whole again", 90)
    assert rig.redis(former, "GET", "pidea:acknowledged") == "yes"
    assert cluster.primary(rig.layout, rig.run) == former
    assert rig.restarts(late) == 0


def test_a_sentinel_that_sees_nobody_starts_anew_once_and_comes_back(rig: Rig) -> None:
    alone = rig.sentinels[2]
    rig.wait(lambda: uptime_seconds(rig, alone) > SEEN_SECONDS, "it has seen the others for a while")
    assert STARTS_ANEW not in rig.log(alone)
    docker("network", "disconnect", NETWORK, rig.container(alone))
    rig.wait(lambda: STARTS_ANEW in rig.log(alone), "it starts anew", 30)
    rig.stays(lambda: rig.log(alone).count(STARTS_ANEW) == 1, "it has started anew once", 20)
    rig.connect(alone)
    rig.wait(lambda: not cluster.problems(rig.layout, rig.run), "the cluster is whole again", 60)
    assert [rig.log(name).count(STARTS_ANEW) for name in rig.sentinels] == [0, 0, 1]
    assert rig.restarts(alone) == 0
