"""Redis in prod: one primary by its actual role, every replica on it, and sentinels that all say the same."""

from __future__ import annotations

import pytest

from infra import names
from tests.prod import asking
from tests.prod.planned import members
from tests.stack.cluster import Cluster
from tests.stack.prod import Prod

SERVERS = members(names.REDIS)
SENTINELS = members(names.SENTINEL)


@pytest.fixture
def primary(cluster: Cluster) -> str:
    """The one server that says so of itself."""
    found = [name for name in SERVERS if asking.redis(cluster, name, "ROLE")[0] == "master"]
    assert len(found) == 1, f"primaries: {found}"
    return found[0]


def test_there_are_as_many_as_production_needs() -> None:
    assert len(SERVERS) >= 3
    assert len(SENTINELS) >= 3
    assert len(SENTINELS) % 2 == 1


def test_every_other_server_follows_the_primary(prod: Prod, cluster: Cluster, primary: str) -> None:
    for name in set(SERVERS) - {primary}:
        found = asking.info(asking.redis(cluster, name, "INFO", "replication"))
        assert (found["role"], found["master_host"]) == ("slave", names.physical(prod.prefix, primary))
        assert (found["master_link_status"], found["master_sync_in_progress"]) == ("up", "0")
    told = asking.info(asking.redis(cluster, primary, "INFO", "replication"))
    assert int(told["connected_slaves"]) == len(SERVERS) - 1
    states = [told[f"slave{number}"] for number in range(len(SERVERS) - 1)]
    assert all("state=online" in state for state in states), states


def test_a_write_is_on_every_server(cluster: Cluster, primary: str) -> None:
    asking.redis(cluster, primary, "SET", "tests:written", "yes")
    try:
        assert asking.redis(cluster, primary, "WAIT", str(len(SERVERS) - 1), "2000") == [str(len(SERVERS) - 1)]
        for name in SERVERS:
            assert asking.redis(cluster, name, "GET", "tests:written") == ["yes"]
    finally:
        asking.redis(cluster, primary, "DEL", "tests:written")


def test_replicas_take_no_writes(cluster: Cluster, primary: str) -> None:
    for name in set(SERVERS) - {primary}:
        assert asking.redis(cluster, name, "SET", "tests:refused", "yes")[0].startswith("READONLY")


@pytest.mark.parametrize("name", SENTINELS)
def test_sentinels_name_the_primary(prod: Prod, cluster: Cluster, primary: str, name: str) -> None:
    found = asking.pairs(asking.sentinel(cluster, name, "SENTINEL", "MASTER", names.REDIS_PRIMARY))
    assert (found["ip"], found["flags"]) == (names.physical(prod.prefix, primary), "master")
    assert int(found["num-slaves"]) == len(SERVERS) - 1
    assert int(found["num-other-sentinels"]) == len(SENTINELS) - 1
    assert int(found["quorum"]) == len(SENTINELS) // 2 + 1
    said = asking.sentinel(cluster, name, "SENTINEL", "CKQUORUM", names.REDIS_PRIMARY)[0]
    assert said.startswith(f"OK {len(SENTINELS)} usable Sentinels")


@pytest.mark.parametrize("name", SENTINELS)
def test_sentinels_see_nothing_amiss(prod: Prod, cluster: Cluster, primary: str, name: str) -> None:
    replicas = asking.each(asking.sentinel(cluster, name, "SENTINEL", "REPLICAS", names.REDIS_PRIMARY))
    # Exactly `slave`: with `s_down` beside it a sentinel stays with the old primary after a hand-over.
    assert {found["name"].rpartition(":")[0]: found["flags"] for found in replicas} == {
        names.physical(prod.prefix, server): "slave" for server in set(SERVERS) - {primary}
    }
    others = asking.each(asking.sentinel(cluster, name, "SENTINEL", "SENTINELS", names.REDIS_PRIMARY))
    assert {found["ip"] for found in others} == {
        names.physical(prod.prefix, other) for other in set(SENTINELS) - {name}
    }
    assert {found["flags"] for found in others} == {"sentinel"}


def test_sentinels_are_in_the_same_epoch(cluster: Cluster) -> None:
    found = [
        asking.pairs(asking.sentinel(cluster, name, "SENTINEL", "MASTER", names.REDIS_PRIMARY)) for name in SENTINELS
    ]
    assert len({one["config-epoch"] for one in found}) == 1


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(
    "key", ["maxmemory-policy", "appendonly", "appendfsync", "min-replicas-to-write", "min-replicas-max-lag"]
)
def test_configuration_is_loaded(prod: Prod, cluster: Cluster, name: str, key: str) -> None:
    content = next(config.content for config in prod.plan.configs if config.name == "redis-conf")
    asked = dict(line.split(maxsplit=1) for line in content.splitlines() if " " in line and not line.startswith("#"))
    assert asking.redis(cluster, name, "CONFIG", "GET", key) == [key, asked[key]]


@pytest.mark.parametrize("name", [*SERVERS, *SENTINELS])
def test_nobody_comes_in_without_a_password(cluster: Cluster, name: str) -> None:
    port = names.SENTINEL_PORT if name in SENTINELS else names.REDIS_PORT
    answer = asking.container(cluster, name).inside.run(f"redis-cli -p {port} INFO")
    assert "NOAUTH" in answer.stdout + answer.stderr
