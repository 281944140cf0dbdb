"""The production stack's PostgreSQL, for real: it is broken in every part, and nothing acknowledged may be lost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from infra import names
from ops.cluster import postgres
from ops.cluster.members import MemberError
from ops.errors import DeployError
from tests.patroni import measure
from tests.patroni.stand import Stand, prod_plan
from tests.patroni.writer import Writers
from tests.stack.plain import docker
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.patroni, pytest.mark.timeout(1200)]

PREFIX = "pidea-test-pg"
OCTET = 98
# Generous: a busy machine must not fail a test. What it takes on an idle one is what tests.patroni.measure measures.
WAIT_SECONDS = 180.0
# Two members of a cluster that is not there, with the code and the etcd of one that is.
RETURNS = """
import runpy, time
from patroni.dcs.etcd3 import Etcd3
runpy.run_path("/usr/local/bin/patroni-member")
etcd = {"hosts": HOSTS, "protocol": "http", "scope": "of-a-test", "namespace": "/pidea-test/"}
times = {"ttl": 5, "loop_wait": 1, "retry_timeout": 4, "patronictl": False}
old, new = (Etcd3({**etcd, **times, "name": name}) for name in ("old", "new"))
said = [old.attempt_to_acquire_leader(), bool(old.get_cluster().leader), old.update_leader(None)]
said += [old._client.call_rpc("/lease/revoke", {"ID": old._lease}) is not None]
said += [new.attempt_to_acquire_leader(), old.update_leader(None)]
while (seen := old.get_cluster().leader) is None or seen.name != "new":
    time.sleep(0.1)
said += [new.update_leader(None), bool(new.get_cluster().leader)]
new._lease = new._client.lease_grant(5)
said += [new.update_leader(None), new.delete_leader()]
while new.get_cluster().leader is not None:
    time.sleep(0.1)
print(said)
"""
DEMOTES_ITSELF = "demoting self because DCS"


@pytest.fixture
def writers(stand: Stand) -> Iterator[Writers]:
    """They write before, through and after whatever the test does; what was acknowledged must be there in the end."""
    measure.settle(stand, WAIT_SECONDS)
    with Writers(stand.addresses, stand.passwords[names.POSTGRES_APP_PASSWORD]) as running:
        yield running
    measure.settle(stand, WAIT_SECONDS)
    assert asyncio.run(running.missing()) == set()


def settings(stand: Stand, member: str) -> list[str]:
    shown = ("data_checksums", "password_encryption", "synchronous_commit", "hba_file")
    return [stand.sql(member, f"SHOW {name}") for name in shown]


def request(stand: Stand, member: str, method: str, path: str) -> str:
    """The first line of the answer to a request without a password."""
    script = (
        f"exec 3<>/dev/tcp/127.0.0.1/8008; printf '{method} {path} HTTP/1.0\\r\\nContent-Length: 2\\r\\n\\r\\n{{}}' >&3"
    )
    return stand.run(member, ("bash", "-c", f"{script}; head -n 1 <&3")).strip()


def test_a_primary_and_a_synchronous_standby_and_another(stand: Stand) -> None:
    name, _ = measure.settle(stand)

    def synchronous() -> bool:
        # A moment after a start all of them are, until etcd names one.
        return [one.is_synchronous for one in postgres.look(stand.run, name).standbys.values()].count(True) == 1

    wait_until(synchronous, "one standby is synchronous")
    members = postgres.look_at_all(stand.run, stand.members)
    assert sorted(member.role for member in members) == ["primary", "standby", "standby"]
    for member in stand.members:
        assert settings(stand, member) == ["on", "scram-sha-256", "on", "/etc/pidea/pg_hba.conf"]


def test_nobody_changes_the_cluster_without_a_password(stand: Stand) -> None:
    for path in ("/switchover", "/restart", "/reinitialize"):
        assert " 401 " in request(stand, "postgres-1", "POST", path)
    assert " 401 " in request(stand, "postgres-1", "PATCH", "/config")
    assert " 200 " in request(stand, "postgres-1", "GET", "/liveness")


def test_no_password_is_where_it_can_be_seen(stand: Stand) -> None:
    for service in stand.services:
        seen = docker("inspect", stand.container(service)) + docker("top", stand.container(service), "-eo", "pid,args")
        seen += stand.run(service, ("bash", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'"))
        seen += stand.logs(service)
        assert [name for name, value in stand.passwords.items() if value in seen] == []


def test_the_superuser_comes_in_from_inside_alone(stand: Stand) -> None:
    password = stand.passwords[names.POSTGRES_SUPERUSER_PASSWORD]
    login = "read -r PGPASSWORD; export PGPASSWORD; exec psql -XAtq --host=127.0.0.1 --username=postgres -c 'SELECT 1'"
    with pytest.raises(MemberError, match=r"no pg_hba\.conf entry"):
        stand.run("postgres-1", ("bash", "-c", login), password + "\n")


def test_killed_primary(stand: Stand, writers: Writers) -> None:
    """Started again two seconds later it may be the primary still: nobody else has had the lock meanwhile."""
    old, _ = measure.settle(stand)
    stand.kill(old)
    writers.wait_for_writes(time.monotonic() + 1, WAIT_SECONDS)


def test_primary_that_stays_away(stand: Stand, writers: Writers) -> None:
    old, standby = measure.settle(stand)
    stand.kill(old, for_good=True)
    try:
        writers.wait_for_writes(time.monotonic() + 1, WAIT_SECONDS)
        assert postgres.look(stand.run, standby).role == "primary"
    finally:
        stand.start(old)


def test_primary_that_is_cut_off(stand: Stand, writers: Writers) -> None:
    """It may take writes for as long as it likes: without a standby it acknowledges none."""
    old, standby = measure.settle(stand)
    stand.disconnect(old)
    began = time.monotonic()
    writers.wait_for_writes(began + 1, WAIT_SECONDS)
    stand.connect(old)
    assert measure.settle(stand, WAIT_SECONDS)[0] == standby


def test_the_next_primary_first_gets_what_another_standby_has_more(stand: Stand) -> None:
    """Else that one would be rewound, and nobody there meanwhile to confirm a write."""
    old, synchronous = measure.settle(stand)
    (ahead,) = {*stand.members} - {old, synchronous}
    stand.sql(old, "CREATE TABLE IF NOT EXISTS unconfirmed (at text)")
    receiver = stand.sql(synchronous, "SELECT pid FROM pg_stat_wal_receiver")
    mark = f"{time.time_ns()}"
    stand.run(synchronous, ("bash", "-c", f"kill -STOP {receiver}"))
    stand.sql(old, f"SET synchronous_commit = local; INSERT INTO unconfirmed VALUES ('{mark}')")  # noqa: S608 - ours
    has_it = f"SELECT count(*) FROM unconfirmed WHERE at = '{mark}'"  # noqa: S608 - ours
    wait_until(lambda: stand.sql(ahead, has_it) == "1", "the other standby has the row")
    rewound = stand.logs(ahead).count("running pg_rewind")
    docker("pause", stand.container(old))
    try:
        # It ends without a look at what the primary had sent.
        stand.run(synchronous, ("bash", "-c", f"kill -TERM {receiver}; kill -CONT {receiver}"))
        wait_until(lambda: postgres.look(stand.run, synchronous).role == "primary", "it is the primary")
        stand.sql(synchronous, "INSERT INTO unconfirmed VALUES ('next')")
        assert stand.sql(synchronous, has_it) == "1"
        assert stand.logs(ahead).count("running pg_rewind") == rewound
    finally:
        docker("unpause", stand.container(old))
    measure.settle(stand, WAIT_SECONDS)


def test_a_lock_is_kept_and_given_up_by_its_holder_alone(stand: Stand) -> None:
    """A primary that returns still has the lock by what it heard last, and its lease has run out."""
    hosts = [f"{stand.container(name)}:2379" for name in stand.services if name.startswith(names.ETCD)]
    said = stand.run("postgres-1", ("python3", "-c", RETURNS.replace("HOSTS", repr(hosts))))
    assert said.strip().splitlines()[-1] == str([*[True] * 5, False, *[True] * 4])


def test_member_that_etcd_does_not_name_gives_the_lock_back(stand: Stand, writers: Writers) -> None:
    primary, standby = measure.settle(stand)
    (other,) = {*stand.members} - {primary, standby}
    stand.run("etcd-1", ("etcdctl", "put", f"/pidea/{stand.prefix}/leader", other))
    wait_until(lambda: "gave the lock back" in stand.logs(other), "it gives the lock back")
    assert measure.settle(stand, WAIT_SECONDS)[0] != other
    writers.wait_for_writes(time.monotonic(), WAIT_SECONDS)


def test_etcd_is_not_led_beside_the_primary(stand: Stand) -> None:
    primary, _ = measure.settle(stand)
    beside = primary.replace(names.POSTGRES, names.ETCD)
    lead_etcd(stand, beside, etcd_members(stand))
    wait_until(lambda: not leads_etcd(stand, beside), "another one leads")
    assert measure.settle(stand)[0] == primary


def test_etcd_is_led_by_a_member_that_is_there(stand: Stand, writers: Writers) -> None:
    """A leader that waits for a successor takes nothing in, and a primary without etcd gives up after four seconds."""
    primary, _ = measure.settle(stand)
    beside = primary.replace(names.POSTGRES, names.ETCD)
    members = etcd_members(stand)
    said = stand.run(beside, ("etcdctl", "member", "list", "-w", "json"))
    by_id = {etcd_status(stand, name)["own"]: name for name in members}
    lost, left = (by_id[one["ID"]] for one in json.loads(said)["members"] if by_id[one["ID"]] != beside)
    lead_etcd(stand, left, members)
    # An earlier test may have cut it off.
    demotions = stand.logs(primary).count(DEMOTES_ITSELF)
    docker("pause", stand.container(lost))
    try:
        lead_etcd(stand, beside, (left, beside))
        wait_until(lambda: leads_etcd(stand, left), "the one that is there leads")
        writers.wait_for_writes(time.monotonic(), WAIT_SECONDS)
        assert postgres.look(stand.run, primary).role == "primary"
        assert stand.logs(primary).count(DEMOTES_ITSELF) == demotions
    finally:
        docker("unpause", stand.container(lost))
    assert measure.settle(stand, WAIT_SECONDS)[0] == primary


def etcd_members(stand: Stand) -> list[str]:
    return [name for name in stand.services if name.startswith(names.ETCD)]


def lead_etcd(stand: Stand, member: str, among: Sequence[str]) -> None:
    """Has `member` lead etcd, whose leader is one of `among`."""
    leader = next(name for name in among if leads_etcd(stand, name))
    if leader != member:
        stand.run(leader, ("etcdctl", "move-leader", f"{etcd_status(stand, member)['own']:x}"))


def leads_etcd(stand: Stand, member: str) -> bool:
    status = etcd_status(stand, member)
    return status["leader"] == status["own"]


def etcd_status(stand: Stand, member: str) -> dict[str, int]:
    """The ids of the leader and of the member itself."""
    said = stand.run(member, ("etcdctl", "endpoint", "status", "-w", "json"))
    found: dict[str, Any] = json.loads(said)[0]["Status"]
    return {"leader": found["leader"], "own": found["header"]["member_id"]}


def test_standbys_do_not_wait_long_for_an_address_where_nobody_is(stand: Stand) -> None:
    primary, _ = measure.settle(stand)
    for member in stand.members:
        if member != primary:
            conninfo = stand.sql(member, "SELECT conninfo FROM pg_stat_wal_receiver")
            assert "tcp_user_timeout=2000" in conninfo


def test_planned_hand_over(stand: Stand, writers: Writers) -> None:
    old, standby = measure.settle(stand)
    assert postgres.hand_over(stand.run, stand.members) == standby
    writers.wait_for_writes(time.monotonic(), WAIT_SECONDS)
    assert postgres.look(stand.run, old).role == "standby"


def test_a_backup_that_has_a_write_is_no_standby(stand: Stand, writers: Writers) -> None:
    """Nobody can be promoted from it: with the standbys gone nothing is acknowledged, though a receiver has it all."""
    primary, _ = measure.settle(stand)
    standbys = [member for member in stand.members if member != primary]
    receive = (
        "read -r PGPASSWORD; export PGPASSWORD; mkdir -p /tmp/wal;"
        " pg_receivewal --synchronous --directory=/tmp/wal --host=$(hostname)"
        f" --username={names.POSTGRES_BACKUP_USERNAME} > /dev/null 2>&1 & echo $!"
    )
    login = stand.passwords[names.POSTGRES_BACKUP_PASSWORD] + "\n"
    receiver = stand.run(primary, ("bash", "-c", receive), login).strip()
    try:
        for member in standbys:
            stand.stop(member)
        # Patroni has noticed by then, and took whoever is there before.
        time.sleep(15)
        acknowledged = len(writers.acknowledged)
        time.sleep(5)
        state = "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'pg_receivewal'"
        assert stand.sql(primary, state) == "async"
        assert postgres.look(stand.run, primary).role == "primary"
        assert len(writers.acknowledged) == acknowledged
    finally:
        for member in standbys:
            stand.start(member)
        stand.run(primary, ("bash", "-c", f"kill {receiver}; rm -rf /tmp/wal"))
    writers.wait_for_writes(time.monotonic(), WAIT_SECONDS)


def test_no_hand_over_while_a_standby_is_missing(stand: Stand, writers: Writers) -> None:
    primary, standby = measure.settle(stand)
    stand.stop(standby)
    try:
        with pytest.raises(DeployError, match=standby):
            postgres.hand_over(stand.run, stand.members)
        assert postgres.look(stand.run, primary).role == "primary"
    finally:
        stand.start(standby)


def test_member_that_lost_its_volume_copies_the_primary(stand: Stand, writers: Writers) -> None:
    primary, standby = measure.settle(stand)
    for member in (standby, primary):
        stand.lose_volume(member)
        writers.wait_for_writes(time.monotonic() + 1, WAIT_SECONDS)
        stand.start(member)
        measure.settle(stand, WAIT_SECONDS)


def test_etcd_member_that_lost_its_volume_joins_the_same_cluster(stand: Stand, writers: Writers) -> None:
    def cluster() -> tuple[int, set[str]]:
        said = json.loads(stand.run("etcd-1", ("etcdctl", "member", "list", "-w", "json")))
        return said["header"]["cluster_id"], {m["name"] for m in said["members"] if m.get("clientURLs")}

    before = cluster()
    stand.lose_volume("etcd-2")
    stand.start("etcd-2")
    deadline = time.monotonic() + WAIT_SECONDS
    while cluster() != before or "joining the cluster anew" not in stand.logs("etcd-2"):
        assert time.monotonic() < deadline, stand.logs("etcd-2")
        time.sleep(1)
    healthy = ("etcdctl", "endpoint", "health")
    assert "is healthy" in stand.run("etcd-2", ("bash", "-c", f"{' '.join(healthy)} 2>&1"))
    writers.wait_for_writes(time.monotonic(), WAIT_SECONDS)


def test_without_a_majority_of_etcd_the_primary_goes_on(stand: Stand, writers: Writers) -> None:
    primary, _ = measure.settle(stand)
    lost = ("etcd-1", "etcd-3")
    for service in lost:
        stand.kill(service, for_good=True)
    try:
        # Longer than a lock lives.
        time.sleep(25)
        assert postgres.look(stand.run, primary).role == "primary"
        writers.wait_for_writes(time.monotonic(), 30)
    finally:
        for service in lost:
            stand.start(service)
    measure.settle(stand, WAIT_SECONDS)


def test_passwords_are_renewed_member_by_member(stand: Stand, writers: Writers) -> None:
    """The clients still have the old ones until the last member is through, and standbys never stop."""
    old = dict(stand.passwords)
    stand.renew_passwords()
    new = dict(stand.passwords)
    change_over(stand, writers, generation=2)
    asyncio.run(login(writers))
    use(writers, 2, new)
    asyncio.run(login(writers))
    assert old[names.POSTGRES_APP_PASSWORD] != writers.password

    # Back, as after a rotation that was a mistake.
    stand.passwords = old
    change_over(stand, writers, generation=1)
    use(writers, 1, old)
    asyncio.run(login(writers))


def change_over(stand: Stand, writers: Writers, *, generation: int) -> None:
    primary, _ = measure.settle(stand)
    plan = prod_plan(stand.prefix, OCTET, secretsVersion=generation)
    for member in sorted(stand.members, key=lambda member: member == primary):
        if member == primary:
            postgres.hand_over(stand.run, stand.members)
        stand.update(member, plan)
        measure.settle(stand, WAIT_SECONDS)
        writers.wait_for_writes(time.monotonic(), WAIT_SECONDS)


def use(writers: Writers, generation: int, passwords: dict[str, str]) -> None:
    writers.user = names.of_generation(names.POSTGRES_APP_USERNAME, generation)
    writers.password = passwords[names.POSTGRES_APP_PASSWORD]


async def login(writers: Writers) -> None:
    connection = await writers.connection(60)
    try:
        assert await connection.fetchval("SELECT current_user") == names.POSTGRES_APP_USERNAME
    finally:
        await connection.close()
