"""A name that cannot be resolved for a while, as after a partition, and what a sentinel makes of it."""

from __future__ import annotations

import pytest

from ops.cluster import redis as cluster
from tests.redis_ha.rig import ELSEWHERE, NETWORK, ORDERS_SECONDS, Rig, docker

pytestmark = [pytest.mark.redis_ha, pytest.mark.timeout(600)]


def test_a_sentinel_that_cannot_resolve_the_next_primary_does_not_stay_with_the_former(rig: Rig) -> None:
    former, next_, third = rig.servers
    assert cluster.primary(rig.layout, rig.run) == former
    late = rig.sentinels[1]
    for name in set(rig.members) - {late}:
        docker("network", "connect", ELSEWHERE, rig.container(name))
    docker("network", "disconnect", NETWORK, rig.container(next_))
    rig.redis(third, "CONFIG", "SET", "replica-priority", "0")
    rig.wait(lambda: "connected_slaves:2" in rig.redis(former, "INFO", "replication"), "both replicas are connected")

    # The former primary stands still with one sentinel, the others choose the next one.
    away = [former, late]
    for name in away:
        docker("pause", rig.container(name))
    others = set(rig.sentinels) - {late}
    rig.wait(lambda: all(rig.primaries()[one] == next_ for one in others), "the next primary is named")
    rig.wait(lambda: rig.follows(third) == next_, "the third server follows it")
    rig.redis(next_, "SET", "pidea:acknowledged", "yes")
    for name in reversed(away):
        docker("unpause", rig.container(name))

    followed = set()

    def come_back() -> bool:
        followed.add(rig.follows(third))
        return rig.primaries()[late] == next_

    rig.wait(come_back, "the late sentinel names the next primary")
    rig.stays(lambda: rig.follows(third) == next_ == rig.follows(next_), "both keep their roles", ORDERS_SECONDS)
    assert followed == {next_}
    rig.connect(next_)
    rig.wait(lambda: not cluster.problems(rig.layout, rig.run), "the cluster is whole again", 90)
    assert rig.redis(next_, "GET", "pidea:acknowledged") == "yes"
    assert cluster.primary(rig.layout, rig.run) == next_
    assert rig.restarts(late) == 0
