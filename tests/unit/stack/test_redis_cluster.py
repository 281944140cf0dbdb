"""What a Redis cluster's members say, and which of it is called a problem. Real ones: tests/redis_ha."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import pytest

from infra.plan import build_plan
from infra.settings import StackSettings
from ops.cluster import redis
from ops.cluster.redis import Layout, Sentinel, Server, View
from ops.cluster.redis_hand_over import hand_over
from ops.errors import DeployError, OpsError
from tests.unit.infra.conftest import read_config

SERVERS = ("redis-1", "redis-2", "redis-3")
SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")
LAYOUT = Layout(instance="pidea-prod", servers=SERVERS, sentinels=SENTINELS)


def server(name: str, **changed: object) -> Server:
    usual = Server(
        name=name,
        role="slave",
        follows="redis-1",
        link_is_up=True,
        offset=5000,
        good_replicas=0,
        reported={},
    )
    return dataclasses.replace(usual, **changed)  # type: ignore[arg-type]


def sentinel(name: str, **changed: object) -> Sentinel:
    usual = Sentinel(
        name=name,
        identity=name,
        epoch=3,
        primary="redis-1",
        primary_flags="master",
        replicas={"redis-2": "slave", "redis-3": "slave"},
        sentinels={other: "sentinel" for other in SENTINELS if other != name},
    )
    return dataclasses.replace(usual, **changed)  # type: ignore[arg-type]


def whole(*changed: Server | Sentinel) -> View:
    reported = {"redis-2": 5000, "redis-3": 4900}
    members: dict[str, Server | Sentinel] = {
        "redis-1": server("redis-1", role="master", follows=None, good_replicas=2, reported=reported),
        "redis-2": server("redis-2"),
        "redis-3": server("redis-3"),
        **{name: sentinel(name) for name in SENTINELS},
    }
    members |= {member.name: member for member in changed}
    return View(
        servers={name: found for name, found in members.items() if isinstance(found, Server)},
        sentinels={name: found for name, found in members.items() if isinstance(found, Sentinel)},
        silent={},
    )


def test_a_whole_cluster_has_no_problem() -> None:
    assert redis.violations(LAYOUT, whole()) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (
            server("redis-2", role="master", follows=None),
            "redis-1 and redis-2 is primary by its own role, it must be exactly one",
        ),
        (server("redis-1"), "no server is primary by its own role, it must be exactly one"),
        (server("redis-2", follows="redis-3"), "redis-2 follows redis-3, the primary is redis-1"),
        (server("redis-2", link_is_up=False), "redis-2 has no connection to its primary redis-1"),
        (
            server(
                "redis-1", role="master", follows=None, good_replicas=1, reported={"redis-2": 5000, "redis-3": 5000}
            ),
            "redis-1 hears 1 replicas, there are 2",
        ),
        (
            server(
                "redis-1",
                role="master",
                follows=None,
                offset=redis.MOST_LAG_BYTES + 1001,
                good_replicas=2,
                reported={"redis-2": 1000, "redis-3": 1001},
            ),
            f"redis-2 is {redis.MOST_LAG_BYTES + 1} bytes behind redis-1",
        ),
        (sentinel("sentinel-2", primary="redis-3"), "sentinel-2 names redis-3 as primary, which is redis-1"),
        (
            sentinel("sentinel-2", primary_flags="master,failover_in_progress"),
            "sentinel-2 has redis-1 as master,failover_in_progress, not as master",
        ),
        (
            sentinel("sentinel-2", replicas={"redis-2": "s_down,slave", "redis-3": "slave"}),
            "sentinel-2 has redis-2 as s_down,slave, not as slave",
        ),
        (
            sentinel("sentinel-2", replicas={"redis-2": "slave"}),
            "sentinel-2 has redis-3 as unknown, not as slave",
        ),
        (
            sentinel(
                "sentinel-2", sentinels={"sentinel-1": "sentinel", "sentinel-3": "sentinel", "10.0.0.9": "s_down"}
            ),
            "sentinel-2 knows 10.0.0.9, which is not in the plan",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_problem_is_one_line(changed: Server | Sentinel, problem: str) -> None:
    assert redis.violations(LAYOUT, whole(changed)) == [problem]


def answers(member: str, command: Sequence[str], stdin: str = "") -> str:
    """What the members of a whole cluster answer, as redis-cli prints it."""
    if member == "redis-3":
        raise OpsError("redis-3 does not run;\nsee `./pidea status` for why.")
    if member == "redis-1":
        slaves = "".join(
            f"slave{n}:ip=pidea-prod-redis-{n + 2},port=6379,state=online,offset=4242,lag=0\n" for n in range(2)
        )
        return f"# Replication\nrole:master\nmin_slaves_good_slaves:2\n{slaves}master_repl_offset:4300\n"
    if member == "redis-2":
        return "role:slave\nmaster_host:pidea-prod-redis-1\nmaster_link_status:up\nmaster_repl_offset:4300\n"
    chief = {"ip": "pidea-prod-redis-1", "flags": "master", "config-epoch": "7"}
    replicas = [{"ip": f"pidea-prod-redis-{n}", "flags": "slave"} for n in (2, 3)]
    others = [{"ip": f"pidea-prod-{other}", "flags": "sentinel"} for other in SENTINELS if other != member]
    return "".join(f"{json.dumps(answer)}\n" for answer in (chief, replicas, others, "a" * 40))


def test_answers_are_read_and_silence_is_told() -> None:
    seen = redis.view(LAYOUT, answers)
    assert seen.servers["redis-1"].reported == {"redis-2": 4242, "redis-3": 4242}
    assert seen.servers["redis-2"].follows == "redis-1"
    assert seen.sentinels["sentinel-1"].epoch == 7
    assert seen.silent == {"redis-3": "redis-3 does not run; see `./pidea status` for why."}
    assert redis.primary(LAYOUT, answers) == "redis-1"
    assert redis.problems(LAYOUT, answers) == [
        "redis-3 does not answer: redis-3 does not run; see `./pidea status` for why."
    ]


def test_nothing_is_touched_while_the_cluster_is_not_whole() -> None:
    commands: list[Sequence[str]] = []

    def run(member: str, command: Sequence[str], stdin: str = "") -> str:
        commands.append([*command, stdin])
        return answers(member, command)

    with pytest.raises(DeployError, match=r"not whole:\nredis-3 does not answer"):
        hand_over(LAYOUT, run)
    assert not [command for command in commands if "REPLICAOF" in " ".join(command)]


def test_the_layout_is_the_plans() -> None:
    prod = redis.layout(build_plan(StackSettings.from_config(read_config("prod"))))
    assert prod == LAYOUT
    assert redis.layout(build_plan(StackSettings.from_config(read_config("staging")))) is None
