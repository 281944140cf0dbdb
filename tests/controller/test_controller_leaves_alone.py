"""What is not provably safe is told and left alone, by a controller that may repair; and what becomes of its page."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from redis.exceptions import NoPermissionError

from tests.app.servers import eventually
from tests.controller.cluster import Cluster, Controlled, ask, info
from tests.controller.test_controller_heals import ghost_replica, masterless

pytestmark = [pytest.mark.app, pytest.mark.timeout(420)]

Control = Callable[[str], Controlled]
# Longer than both of the controller's patiences together.
WATCHED_SECONDS = 7.0


@dataclass(frozen=True)
class Unsafe:
    """What is done by hand, the finding, and a part of the reason for leaving it."""

    make: Callable[[Cluster], None]
    finding: str
    reason: str


def second_primary_with_a_replica(cluster: Cluster) -> None:
    """A split brain: the second primary's writes are acknowledged by its replica."""
    _, second, third = cluster.servers
    cluster.promote(second)
    cluster.follow(third, second)
    eventually(lambda: info(cluster.servers[0].port)["connected_slaves"] == "0", "the primary misses both")
    cluster.forget()
    cluster.write(second, "acknowledged", "by the third")


def no_primary_and_one_silent(cluster: Cluster) -> None:
    masterless(cluster)
    cluster.servers[1].stop()


def no_primary_and_two_histories(cluster: Cluster) -> None:
    """Two servers took writes of their own before all of them lost their primary."""
    first, second, _ = cluster.servers
    cluster.promote(second)
    # Written after they parted: before that, the second would still copy what the first takes, and have all of it.
    for server in (first, second):
        ask(server.port, "SET", "only-here", str(server.port))
    masterless(cluster)


def replica_of_a_strange_primary(cluster: Cluster) -> None:
    """It copies a server that the controller does not know: that one's writes may be acknowledged by it."""
    strange = cluster.server("strange")
    ask(strange.port, "SET", "elsewhere", "1")
    cluster.follow(cluster.servers[2], strange)
    cluster.forget()


def no_majority_of_sentinels(cluster: Cluster) -> None:
    """Two primaries, and the sentinels name three different servers."""
    cluster.promote(cluster.servers[2])
    for sentinel, server in zip(cluster.sentinels, cluster.servers, strict=True):
        cluster.watch(sentinel, "127.0.0.1", str(server.port))


def ghost_while_a_sentinel_is_away(cluster: Cluster) -> None:
    ghost_replica(cluster)
    cluster.sentinels[2].stop()


UNSAFE = {
    "second primary with a replica": Unsafe(
        second_primary_with_a_replica, "several_primaries", "may have acknowledged its writes"
    ),
    "no primary, one silent": Unsafe(no_primary_and_one_silent, "no_primary", "does not answer"),
    "no primary, two histories": Unsafe(no_primary_and_two_histories, "no_primary", "histories differ"),
    "replica of a strange primary": Unsafe(
        replica_of_a_strange_primary, "replica_astray", "may have acknowledged writes"
    ),
    "no majority": Unsafe(no_majority_of_sentinels, "several_primaries", "no majority"),
    "ghost while a sentinel is away": Unsafe(ghost_while_a_sentinel_is_away, "sentinel_stale", "not all sentinels"),
}


@pytest.mark.parametrize("unsafe", UNSAFE.values(), ids=UNSAFE)
def test_it_is_left_alone(cluster: Cluster, control: Control, unsafe: Unsafe) -> None:
    unsafe.make(cluster)
    controlled = control("repair")
    eventually(lambda: unsafe.reason in controlled.findings().get(unsafe.finding, ""), "it is found, with the reason")
    ends_at = time.monotonic() + WATCHED_SECONDS
    while time.monotonic() < ends_at:
        assert controlled.repairs() == 0
        assert unsafe.finding in controlled.findings()
        time.sleep(0.5)
    assert controlled.metric(f'findings{{finding="{unsafe.finding}"}}') >= 1
    assert controlled.lines("repaired") == controlled.lines("repair failed") == []
    found = {line["decision"]["finding"]: line["decision"] for line in controlled.lines("found")}
    assert found[unsafe.finding]["repair"] is None


def test_data_that_only_a_silent_server_had_is_still_there_when_it_returns(cluster: Cluster, control: Control) -> None:
    """The reason for all of that patience."""
    controlled = control("repair")
    masterless(cluster)
    cluster.servers[1].process.send_signal(19)  # SIGSTOP: as good as gone, with everything in its memory
    try:
        eventually(lambda: "does not answer" in controlled.findings().get("no_primary", ""), "it is missed")
        time.sleep(WATCHED_SECONDS)
        assert controlled.repairs() == 0
    finally:
        cluster.servers[1].process.send_signal(18)
    eventually(lambda: controlled.repairs("promote") == 1, "with all there, one is promoted")
    eventually(lambda: cluster.primary() is not None, "all follow it, and all sentinels name it")
    assert [ask(server.port, "EXISTS", "k") for server in cluster.servers[1:2]] == [1]


@pytest.mark.parametrize(
    "command",
    ["GET k", "SET k 1", "KEYS *", "CONFIG GET *", "SHUTDOWN", "ACL LIST", "FLUSHALL", "CLIENT LIST", "MONITOR"],
)
def test_its_user_may_do_nothing_else_to_a_server(order: Cluster, command: str) -> None:
    with pytest.raises(NoPermissionError):
        ask(order.servers[0].port, *command.split(), user="controller")


@pytest.mark.parametrize(
    "command", ["SENTINEL FAILOVER pidea", "SENTINEL CONFIG GET *", "SENTINEL DEBUG", "SHUTDOWN", "ACL LIST", "INFO"]
)
def test_its_user_may_do_nothing_else_to_a_sentinel(order: Cluster, command: str) -> None:
    with pytest.raises(NoPermissionError):
        ask(order.sentinels[0].port, *command.split(), user="controller")


def test_a_cluster_in_order_is_left_alone(cluster: Cluster, control: Control) -> None:
    controlled = control("repair")
    eventually(lambda: controlled.findings() == {}, "nothing is found")
    time.sleep(WATCHED_SECONDS)
    assert controlled.repairs() == 0
    assert cluster.roles() == ["master", "slave", "slave"]
    assert controlled.get("/healthz") == "ok\n"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        controlled.get("/elsewhere")
    state = controlled.state()
    assert state["primaries"] == [state["agreed"]] == [f"127.0.0.1:{cluster.servers[0].port}"]
    assert "password" not in controlled.get("/state")


def test_a_refused_repair_is_told_and_tried_again(cluster: Cluster, control: Control) -> None:
    controlled = control("repair")
    ask(cluster.sentinels[1].port, "ACL", "SETUSER", "controller", "-sentinel|monitor")
    ask(cluster.sentinels[1].port, "SENTINEL", "REMOVE", "pidea")
    eventually(lambda: controlled.metric('repairs_failed_total{mode="repair",repair="monitor"}') >= 2, "it is refused")
    assert "NoPermission" in controlled.lines("repair failed")[0]["error"]
    ask(cluster.sentinels[1].port, "ACL", "SETUSER", "controller", "+sentinel|monitor")
    eventually(cluster.is_in_order, "it is repaired in the end")
