"""A name that cannot be resolved for a while, as after a partition, and what a sentinel makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.cluster import redis as cluster
from ops.cluster.members import MemberError
from tests.redis_ha.rig import INSTANCE, NETWORK, Rig, docker

pytestmark = [pytest.mark.redis_ha, pytest.mark.timeout(600)]

# Where `sentinel-2` is not, so that it cannot resolve the names of those who are nowhere else.
ELSEWHERE = f"{INSTANCE}-elsewhere"
# A sentinel gives orders to a server that follows another one after 5 s, to one that calls itself a primary after 8 s.
ORDERS_SECONDS = 12


@pytest.fixture
def rig() -> Iterator[Rig]:
    if docker("version", "--format", "{{.Server.Version}}", check=False).strip() == "":
        pytest.skip("Docker does not answer")
    Rig.build()
    made = Rig()
    try:
        made.up()
        docker("network", "create", "--internal", "--label", f"dev.pidea.rig={INSTANCE}", ELSEWHERE)
        for name in made.members:
            docker("update", "--restart", "always", made.container(name))
        made.wait(lambda: not cluster.problems(made.layout, made.run), "the cluster is whole", 120)
        yield made
    finally:
        made.down()
        docker("network", "rm", ELSEWHERE, check=False)


def follows(rig: Rig, replica: str) -> str:
    """Whom a server follows; itself where it is a primary."""
    try:
        said = rig.redis(replica, "ROLE").splitlines()
    except MemberError:
        return "?"
    return said[1].removeprefix(f"{INSTANCE}-") if said[0] == "slave" else replica


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
    rig.wait(lambda: follows(rig, third) == next_, "the third server follows it")
    rig.redis(next_, "SET", "pidea:acknowledged", "yes")
    for name in reversed(away):
        docker("unpause", rig.container(name))

    followed = set()

    def come_back() -> bool:
        followed.add(follows(rig, third))
        return rig.primaries()[late] == next_

    rig.wait(come_back, "the late sentinel names the next primary")
    with pytest.raises(AssertionError):
        rig.wait(lambda: follows(rig, third) != next_ or follows(rig, next_) != next_, "orders", ORDERS_SECONDS)
    assert followed == {next_}
    rig.connect(next_)
    rig.wait(lambda: not cluster.problems(rig.layout, rig.run), "the cluster is whole again", 90)
    assert rig.redis(next_, "GET", "pidea:acknowledged") == "yes"
    assert cluster.primary(rig.layout, rig.run) == next_
