"""A member of a real cluster gets files of an earlier moment: it leads once etcd was told, and the others follow it."""

from __future__ import annotations

import time

import pytest

from infra import names
from ops.cluster import postgres
from ops.host import endpoint
from ops.stack import restore_cluster, restore_steps
from ops.stack.volumes import Volume
from tests.patroni import measure
from tests.patroni.stand import Stand

pytestmark = [pytest.mark.patroni, pytest.mark.timeout(1200)]

PREFIX = "pidea-test-pg-back"
OCTET = 97
WAIT_SECONDS = 180.0
# As long as it takes many times over to find a primary, where there is one.
NOBODY_SECONDS = 20.0
EARLIER = "/data/earlier"


def data_of(stand: Stand, member: str) -> Volume:
    name = f"{member}-{names.POSTGRES_DATA}"
    image = f"{stand.prefix}/{names.PATRONI}"
    return Volume(engine=endpoint.resolve(), instance=stand.prefix, name=name, uid=names.POSTGRES_UID, image=image)


def primary_of(stand: Stand) -> str:
    found = postgres.primary_of(postgres.look_at_all(stand.run, stand.members))
    assert found is not None
    return found.name


def stop_all(stand: Stand, chosen: str) -> None:
    for member in sorted(stand.members, key=lambda member: member == chosen):
        stand.stop(member)


def test_a_member_with_earlier_files_leads_only_when_etcd_was_told(stand: Stand) -> None:
    chosen = primary_of(stand)
    others = [member for member in stand.members if member != chosen]
    stand.sql(chosen, "CREATE TABLE kept AS SELECT 1 AS row")
    stop_all(stand, chosen)
    data_of(stand, chosen).shell(f"cp --archive {restore_steps.CURRENT} {EARLIER}")
    for member in stand.members:
        stand.start(member)
    measure.settle(stand, WAIT_SECONDS)
    # Another history, with more in it than a member may lack that is to lead.
    stand.sql(primary_of(stand), "CREATE TABLE lost AS SELECT repeat('x', 100) FROM generate_series(1, 100000)")
    stop_all(stand, primary_of(stand))

    for member in others:
        restore_cluster.set_aside(data_of(stand, member))
    data = data_of(stand, chosen)
    restore_steps.exchange(data, restore_steps.CURRENT, EARLIER)
    # As after an interruption here and an `up`.
    for member in stand.members:
        stand.start(member)
    end = time.monotonic() + NOBODY_SECONDS
    while time.monotonic() < end:
        assert "primary" not in {found.role for found in postgres.look_at_all(stand.run, stand.members)}
        time.sleep(1)
    stop_all(stand, chosen)

    system = data.shell(restore_cluster.SYSTEM % restore_steps.CURRENT).strip()
    history = restore_cluster.new_history(f"/pidea/{stand.prefix}/", chosen, system)
    assert stand.run("etcd-1", ("env", "ETCDCTL_API=3", "etcdctl", "txn"), history).startswith("SUCCESS")
    # All at once, those without files first.
    for member in (*others, chosen):
        stand.start(member)
    measure.settle(stand, WAIT_SECONDS)
    assert primary_of(stand) == chosen
    for member in stand.members:
        assert stand.sql(member, "SELECT to_regclass('kept') IS NOT NULL, to_regclass('lost') IS NULL") == "t|t"
    # Acknowledged only by a standby that has it.
    stand.sql(chosen, "INSERT INTO kept VALUES (2)")
