"""Each disorder made by hand on real servers and sentinels: repaired in repair mode, only told in dry-run mode."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.app.servers import eventually
from tests.controller.cluster import NOBODY, PASSWORDS, Cluster, Controlled, ask, info

pytestmark = [pytest.mark.app, pytest.mark.timeout(420)]

Control = Callable[[str], Controlled]


@dataclass(frozen=True)
class Disorder:
    """What puts the cluster out of order, what it is found as, and what is repaired."""

    make: Callable[[Cluster], None]
    finding: str
    repairs: frozenset[str]


def masterless(cluster: Cluster) -> None:
    """The sentinels watch nobody and know no replica that they could choose; all servers follow nobody."""
    for sentinel in cluster.sentinels:
        cluster.watch(sentinel, *NOBODY)
    for server in cluster.servers:
        cluster.lose(server)


def second_primary(cluster: Cluster) -> None:
    """A primary that the sentinels do not know of: they would make a replica of one that they know."""
    cluster.promote(cluster.servers[2])
    eventually(lambda: info(cluster.servers[0].port)["connected_slaves"] == "1", "the primary misses it")
    cluster.forget()
    # Which of the two is right does not depend on who has more.
    ask(cluster.servers[2].port, "SET", "stray", "1")


def stray_replica(cluster: Cluster) -> None:
    """A replica of nobody, which the sentinels do not know of."""
    cluster.lose(cluster.servers[2])
    eventually(lambda: info(cluster.servers[0].port)["connected_slaves"] == "1", "the primary misses it")
    cluster.forget()


def diverged_sentinel(cluster: Cluster) -> None:
    cluster.watch(cluster.sentinels[1], "127.0.0.1", str(cluster.servers[2].port))


def sentinel_without_memory(cluster: Cluster) -> None:
    ask(cluster.sentinels[1].port, "SENTINEL", "REMOVE", "pidea")


def ghost_replica(cluster: Cluster) -> None:
    """Every sentinel has known a fourth server, which is gone for good."""
    fourth = cluster.server("fourth")
    cluster.follow(fourth, cluster.servers[0])
    eventually(lambda: {cluster.knows(s)["num-slaves"] for s in cluster.sentinels} == {"3"}, "it is known")
    fourth.stop()


DISORDERS = {
    "masterless": Disorder(masterless, "no_primary", frozenset({"promote", "monitor"})),
    "second primary": Disorder(second_primary, "several_primaries", frozenset({"follow"})),
    "stray replica": Disorder(stray_replica, "replica_astray", frozenset({"follow"})),
    "diverged sentinel": Disorder(diverged_sentinel, "sentinel_diverged", frozenset({"monitor"})),
    "sentinel without memory": Disorder(sentinel_without_memory, "sentinel_diverged", frozenset({"monitor"})),
    "ghost replica": Disorder(ghost_replica, "sentinel_stale", frozenset({"reset"})),
}

each_disorder = pytest.mark.parametrize("disorder", DISORDERS.values(), ids=DISORDERS)


@each_disorder
def test_it_is_healed(
    cluster: Cluster, control: Control, disorder: Disorder, record_property: Callable[..., None]
) -> None:
    controlled = control("repair")
    disorder.make(cluster)
    began = time.monotonic()
    eventually(lambda: disorder.finding in controlled.findings(), "it is found")
    eventually(lambda: all(controlled.repairs(kind) for kind in disorder.repairs), "it is repaired")
    eventually(cluster.is_in_order, "the cluster is in order")
    print(f"in order {time.monotonic() - began:.1f} s after the last command")
    eventually(lambda: controlled.findings() == {}, "nothing is found any more")
    assert ask(cluster.servers[1].port, "GET", "k") == "v", "what was acknowledged is there"
    assert {line["decision"]["repair"] for line in controlled.lines("repaired")} == disorder.repairs
    assert all(len(line["observation"]["servers"]) == 3 for line in controlled.lines("repaired"))
    assert controlled.metric("redis_primaries") == 1
    assert controlled.metric("sentinels_agree") == 3
    assert controlled.metric("replicas_following") == 2
    primary = cluster.primary()
    assert primary is not None
    cluster.write(primary, "after", "1")
    assert not any(password in sentinel.log for sentinel in cluster.sentinels for password in PASSWORDS.values())


@each_disorder
def test_it_is_only_told_in_dry_run(cluster: Cluster, control: Control, disorder: Disorder) -> None:
    controlled = control("dry-run")
    disorder.make(cluster)
    eventually(lambda: controlled.repairs(mode="dry-run") >= 2, "it would be repaired, twice")
    assert disorder.finding in controlled.findings()
    assert not cluster.is_in_order()
    assert controlled.lines("repaired") == []
    told = controlled.lines("would repair")
    assert told[0]["decision"]["finding"] == disorder.finding
