"""A restore into PostgreSQL's cluster: in what order things happen, whatever it finds, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from infra import names
from ops.cluster import redis, redis_empty
from ops.cluster.members import MemberError
from ops.errors import DeployError, HostError, UsageError
from ops.host.endpoint import Endpoint
from ops.stack import nodes, restore, restore_cluster, scale, settings
from ops.stack import restore_steps as steps
from ops.stack.backups import Service
from ops.stack.nodes import Node
from ops.stack.reference import resolve

SERVERS = ("postgres-1", "postgres-2", "postgres-3")
PREPARED = {"rows": {"public.messages": 3}, "bytes": 1 << 20}


@dataclasses.dataclass
class Stage:
    """A prod stack of which nothing is real; `done` is what happened to it, `dead` cannot be asked."""

    primary: str | None = "postgres-2"
    rows: int = 3
    dead: set[str] = dataclasses.field(default_factory=set)
    done: list[str] = dataclasses.field(default_factory=list)
    stack: Any = dataclasses.field(default_factory=lambda: resolve("prod"))

    def __post_init__(self) -> None:
        self.plan = settings.plan_of(self.stack)

    @property
    def members(self) -> Stage:
        return self

    def run(self, member: str, command: Sequence[str], stdin: str = "") -> str:
        if member in self.dead:
            raise MemberError(f"{member} does not run")
        if command[0] != "psql":
            self.done.append(f"{member}: {command[3]}")
            return "SUCCESS\n"
        others = {name: {"state": "streaming", "sync": "sync", "lag": 0} for name in SERVERS if name != self.primary}
        leads = member == self.primary
        return json.dumps(
            {
                **{"standby": not leads, "timeline": 4, "source": None, "streaming": not leads},
                "standbys": others if leads else {},
            }
        )

    def ask(self, *arguments: str, say: object = None) -> dict[str, Any]:
        self.done.append(f"backup: {arguments[0]}")
        return {"rows": {"public.messages": self.rows}}


@dataclasses.dataclass
class Files:
    """A volume that notes what is done to it."""

    stage: Stage
    where: str
    free_bytes: int = 1 << 30

    def shell(self, script: str, stdin: object = None) -> str:
        if script.startswith("df"):
            return str(self.free_bytes)
        self.stage.done.append(f"{self.where}: {script}")
        return "7\n"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stack, with its primary on the second node."""
    made = Stage()

    def note(what: str) -> Callable[..., None]:
        return lambda _stack, _plan, service: made.done.append(f"{what} {service}")

    def started(_stack: object, _plan: object, service: str) -> None:
        made.done.append(f"start {service}")
        made.dead.discard(service)
        # Whoever is started alone leads.
        made.primary = made.primary or service

    def volume(_service: object, name: str, _uid: int, image_of: str, engine: Endpoint) -> Files:
        return Files(made, f"{name} on {engine.named_by}")

    there = [Node(name=f"n{slot}", slot=slot, engine=Endpoint("unix:///none", f"n{slot}")) for slot in (1, 2, 3)]
    monkeypatch.setattr(nodes, "all_of", lambda _stack: there)
    monkeypatch.setattr(scale, "stop", note("stop"))
    monkeypatch.setattr(scale, "start", started)
    monkeypatch.setattr(steps, "volume", volume)
    monkeypatch.setattr(steps, "ship", lambda _s, _w, data, _f: made.done.append(f"{data.where}: the files"))
    monkeypatch.setattr(steps, "exchange_postgres", lambda data: made.done.append(f"{data.where}: exchange"))
    monkeypatch.setattr(redis, "primary", lambda *_: "redis-1")
    monkeypatch.setattr(redis_empty, "empty", lambda *_: made.done.append("redis is emptied"))
    return made


def replace(stage: Stage) -> list[str]:
    """The restore's second part; gives what happened."""
    restore_cluster.replace(cast(Service, stage), PREPARED, lambda _: None)
    return stage.done


def place(done: Sequence[str], *words: str) -> int:
    """Where the one thing that has all these words happened."""
    (found,) = [index for index, line in enumerate(done) if all(word in line for word in words)]
    return found


def test_nothing_stops_before_the_files_are_there_and_the_primary_is_the_last(stage: Stage) -> None:
    done = replace(stage)
    stops = [line for line in done if line.startswith("stop ")]
    assert place(done, "postgres-data on n2: the files") < done.index(stops[0])
    assert stops == ["stop app", "stop postgres-1", "stop postgres-3", "stop postgres-2"]


def test_old_and_new_files_never_meet_in_a_running_cluster(stage: Stage) -> None:
    done = replace(stage)
    exchanged = place(done, "postgres-data on n2: exchange")
    assert place(done, "backup: push") < place(done, "backup: begin-anew") < exchanged
    for node in ("n1", "n3"):
        assert place(done, f"postgres-data on {node}", "mv /data/15 /data/restored") < exchanged
    assert done.index("stop postgres-2") < exchanged < place(done, "txn") < done.index("start postgres-2")


def test_old_files_go_only_when_the_rows_are_there(stage: Stage) -> None:
    stage.rows = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore_cluster, "_READ_SECONDS", 0.0)
        with pytest.raises(DeployError, match="3 rows restored, 2 there"):
            replace(stage)
    assert not [line for line in stage.done if line.endswith(": rm -rf /data/restored")]
    assert "start postgres-1" not in stage.done
    stage.rows, stage.done = 3, []
    done = replace(stage)
    for node, member in (("n1", "postgres-1"), ("n3", "postgres-3")):
        removed = done.index(f"postgres-data on {node}: rm -rf /data/restored")
        assert place(done, "backup: contents") < removed < done.index(f"start {member}")
    assert done[-1] == "postgres-data on n2: rm -rf /data/restored"


def test_the_application_sees_no_cache_of_before(stage: Stage) -> None:
    done = replace(stage)
    for emptied in (
        "redis is emptied",
        *(f"app-cache on n{slot}: find /data -mindepth 1 -delete" for slot in (1, 2, 3)),
    ):
        assert done.index("stop app") < done.index(emptied) < done.index("start app")
    assert done.index("start postgres-3") < done.index("start app")


def test_after_an_interruption_it_goes_on_with_members_that_are_stopped(stage: Stage) -> None:
    stage.primary, stage.dead = None, set(SERVERS)
    done = replace(stage)
    assert place(done, "postgres-data on n1: exchange") < place(done, "txn") < done.index("start postgres-1")


def test_without_etcd_nothing_is_touched(stage: Stage) -> None:
    stage.dead = {"etcd-1", "etcd-2", "etcd-3"}
    with pytest.raises(DeployError, match="etcd does not answer"):
        replace(stage)
    assert stage.done == []


def test_without_a_primary_of_redis_nothing_is_touched(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "primary", lambda *_: None)
    with pytest.raises(DeployError, match="caches cannot be emptied"):
        replace(stage)
    assert [line for line in stage.done if "get" not in line] == []


def test_each_member_needs_room(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def volume(_service: object, name: str, _uid: int, _image_of: str, engine: Endpoint) -> Files:
        return Files(stage, name, free_bytes=(1 << 20) if engine.named_by == "n3" else (1 << 30))

    monkeypatch.setattr(steps, "volume", volume)
    with pytest.raises(HostError, match=r"volume of postgres-3.* 1 are free; make room"):
        restore_cluster.refuse_without_room(cast(Service, stage), needed_bytes=1 << 20)


@pytest.mark.parametrize(
    ("primary", "chosen"), [("postgres-3", "postgres-3"), (None, "postgres-1"), ("postgres-9", "postgres-1")]
)
def test_the_primary_gets_the_files_or_whoever_is_there(primary: str | None, chosen: str) -> None:
    assert restore_cluster.choose(SERVERS, primary) == chosen


def test_the_new_history_lets_nobody_lead_but_the_chosen_one() -> None:
    lines = restore_cluster.new_history("/pidea/p/", "postgres-2", "7412").split("\n")
    # Conditions, changes, what else to do: each ends with an empty line.
    assert (lines[0], lines[-3:]) == ("", ["", "", ""])
    assert 'put /pidea/p/initialize "7412"' in lines
    (pair,) = [line.removeprefix("put /pidea/p/sync ") for line in lines if "sync" in line]
    assert json.loads(json.loads(pair)) == {"leader": "postgres-2", "sync_standby": None}
    assert not [line for line in lines if "config" in line]


def node(name: str, state: str = "ready", availability: str = "active") -> dict[str, Any]:
    """As the swarm lists it."""
    return {"Description": {"Hostname": name}, "Status": {"State": state}, "Spec": {"Availability": availability}}


def test_a_node_that_would_come_back_with_old_data_is_refused() -> None:
    nodes.refuse_absent([node("n1"), node("n2")])
    with pytest.raises(HostError, match=r"Node n2 is away.*docker node rm --force n2"):
        nodes.refuse_absent([node("n1"), node("n2", state="down")])
    with pytest.raises(HostError, match=r"Node n1 is taken out.*Let it in: `./pidea drain STACK n1 --end`"):
        nodes.refuse_absent([node("n1", availability="drain"), node("n2")])


def test_redis_of_a_cluster_needs_none() -> None:
    for name, what in (("staging", names.REDIS), ("staging", names.POSTGRES), ("prod", names.POSTGRES)):
        restore.refuse_what_needs_none(Service.of(resolve(name)), what)
    with pytest.raises(UsageError, match="Redis of prod is a cluster, which needs no restore"):
        restore.refuse_what_needs_none(Service.of(resolve("prod")), names.REDIS)
