"""PostgreSQL in prod: one leader, a synchronous standby, all on one timeline; etcd with every member well."""

from __future__ import annotations

from typing import Any

import pytest

from infra import names
from tests.prod import asking
from tests.prod.planned import members
from tests.stack.cluster import Cluster
from tests.stack.waiting import wait_until

SERVERS = members(names.POSTGRES)
ETCD = members(names.ETCD)
# Members in the order of their names, as /cluster lists them.
Members = list[dict[str, Any]]


@pytest.fixture
def leader(cluster: Cluster) -> str:
    """The one server that is not in recovery."""
    found = [name for name in SERVERS if asking.psql(cluster, name, "SELECT pg_is_in_recovery()") == "f"]
    assert len(found) == 1, f"leaders: {found}"
    return found[0]


def test_there_are_as_many_as_production_needs() -> None:
    assert len(SERVERS) >= 3
    assert len(ETCD) >= 3
    assert len(ETCD) % 2 == 1


@pytest.mark.parametrize("name", SERVERS)
def test_every_member_sees_the_same_cluster(cluster: Cluster, leader: str, name: str) -> None:
    found: Members = asking.http_json(cluster, name, names.PATRONI_PORT, "/cluster")["members"]
    roles = {member["name"]: member["role"] for member in found}
    assert set(roles) == set(SERVERS)
    assert [member for member, role in roles.items() if role == "leader"] == [leader]
    assert sorted(set(roles.values())) == ["leader", "replica", "sync_standby"]
    assert {member["state"] for member in found} <= {"running", "streaming"}
    assert len({member["timeline"] for member in found}) == 1


@pytest.mark.parametrize("name", SERVERS)
def test_every_member_catches_up(cluster: Cluster, name: str) -> None:
    """A look that falls into a write sees its bytes outstanding; one that lags for half a minute does not keep up."""

    def caught_up() -> bool:
        found: Members = asking.http_json(cluster, name, names.PATRONI_PORT, "/cluster")["members"]
        return {member.get("lag", 0) for member in found} == {0}

    wait_until(caught_up, f"{name} sees no member behind the leader", timeout_seconds=30)


def test_standbys_stream_and_one_is_synchronous(cluster: Cluster, leader: str) -> None:
    rows = asking.psql(
        cluster, leader, "SELECT application_name, state, sync_state FROM pg_stat_replication"
    ).splitlines()
    found = {name: (state, sync) for name, state, sync in (row.split("|") for row in rows)}
    # Archives WAL, unless it is just being started, and must never be the one whose word a write waits for.
    _, of_backup = found.pop(names.POSTGRES_BACKUP_USERNAME, ("", "async"))
    assert of_backup == "async"
    assert set(found) == set(SERVERS) - {leader}
    assert {state for state, _ in found.values()} == {"streaming"}
    assert sorted(sync for _, sync in found.values()) == ["async"] * (len(SERVERS) - 2) + ["sync"]


def test_all_are_on_one_timeline(cluster: Cluster) -> None:
    sql = "SELECT timeline_id FROM pg_control_checkpoint()"
    received = "SELECT received_tli FROM pg_stat_wal_receiver"
    assert len({asking.psql(cluster, name, sql) for name in SERVERS}) == 1
    followed = {asking.psql(cluster, name, received) for name in SERVERS} - {""}
    assert len(followed) == 1


def test_a_commit_waits_for_the_standby(cluster: Cluster, leader: str) -> None:
    assert asking.psql(cluster, leader, "SHOW synchronous_commit") in {"on", "remote_apply"}
    assert asking.psql(cluster, leader, "SHOW synchronous_standby_names") != ""


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("server_version_num", "15"),
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("password_encryption", "scram-sha-256"),
        ("hot_standby", "on"),
        ("wal_log_hints", "on"),
        ("TimeZone", "UTC"),
    ],
)
def test_configuration_is_loaded(cluster: Cluster, name: str, setting: str, value: str) -> None:
    assert asking.psql(cluster, name, f"SHOW {setting}")[: len(value)] == value


@pytest.mark.parametrize("name", SERVERS)
def test_no_setting_waits_for_a_restart_or_is_wrong(cluster: Cluster, name: str) -> None:
    assert asking.psql(cluster, name, "SELECT name FROM pg_settings WHERE pending_restart") == ""
    assert asking.psql(cluster, name, "SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL") == ""
    assert asking.psql(cluster, name, "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") == "0"


def test_checksums_never_failed(cluster: Cluster) -> None:
    for name in SERVERS:
        assert asking.psql(cluster, name, "SELECT sum(checksum_failures) FROM pg_stat_database") == "0"


def test_patroni_takes_orders_from_nobody_without_the_password(cluster: Cluster, leader: str) -> None:
    script = (
        f"exec 3<>/dev/tcp/127.0.0.1/{names.PATRONI_PORT} && "
        "printf 'POST /restart HTTP/1.0\\r\\nHost: localhost\\r\\nContent-Length: 2\\r\\n\\r\\n{}' >&3 && head -1 <&3"
    )
    said = asking.container(cluster, leader).inside.check_output("bash -c %s", script)
    assert " 401 " in said


@pytest.mark.parametrize("name", ETCD)
def test_every_member_of_etcd_is_well(cluster: Cluster, name: str) -> None:
    inside = asking.container(cluster, name).inside
    listed = inside.check_output("env ETCDCTL_API=3 etcdctl member list").splitlines()
    assert len(listed) == len(ETCD)
    assert all(", started, " in line for line in listed), listed
    health = inside.run("env ETCDCTL_API=3 etcdctl endpoint health --cluster")
    assert health.rc == 0, health
    assert (health.stdout + health.stderr).count("is healthy") == len(ETCD)


def test_etcd_has_one_leader_and_no_alarm(cluster: Cluster) -> None:
    inside = asking.container(cluster, ETCD[0]).inside
    rows = inside.check_output("env ETCDCTL_API=3 etcdctl endpoint status --cluster").splitlines()
    # endpoint, id, version, size, is leader, is learner, term, index, applied index, errors
    fields = [[field.strip() for field in row.split(",")] for row in rows]
    assert [row[4] for row in fields].count("true") == 1
    assert {row[5] for row in fields} == {"false"}
    assert len({row[6] for row in fields}) == 1
    assert inside.check_output("env ETCDCTL_API=3 etcdctl alarm list") == ""
