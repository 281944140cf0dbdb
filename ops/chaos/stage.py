"""What a scenario has at hand: who plays which role just now, the faults, and the healing of each, in any event."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from infra.names import physical
from ops import console
from ops.chaos.records import Fault, Sample
from ops.chaos.target import Node, Target
from ops.cluster.members import Members
from ops.errors import DeployError, HostError
from ops.lab import faults, status
from ops.lab.reference import Lab
from ops.stack import swarm

_LOOK_SECONDS = 10.0
# After a partition the managers may be between two leaders.
_ELECTION_SECONDS = 15.0
_UPDATE_SECONDS = 240.0
# Of an update, as Swarm says it.
_UNDER_WAY = frozenset({"updating", "rollback_started"})


class Stage:
    """From its entering to its leaving; leaving undoes every fault, the last one first, whatever happened.

    `latest` gives each node's newest sample. A fault ends when its healing begins.
    """

    def __init__(self, target: Target, latest: Callable[[], Mapping[int, Sample]]) -> None:
        self.target = target
        self._latest = latest
        self._heals = contextlib.ExitStack()
        self._what: list[str] = []
        self._slots: set[int] = set()
        self._taken: float | None = None
        self._gone: set[int] = set()
        self._begin: float | None = None
        self._end: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()

    @property
    def lab(self) -> Lab:
        """The lab. Raises HostError for a stack on none: its nodes are other people's machines."""
        if self.target.lab is None:
            raise HostError("Faults of nodes and networks need a lab; bring one up with `./pidea lab up`.")
        return self.target.lab

    @property
    def gone(self) -> frozenset[int]:
        """Nodes that are not to come back within this run."""
        return frozenset(self._gone)

    @property
    def ended(self) -> float:
        """When the last fault was over."""
        return self._end if self._end is not None else time.time()

    def done(self, what: str, *, at: float | None = None, slots: tuple[int, ...] = ()) -> None:
        """Notes that a fault has taken effect (`at`: when), and the nodes that it took away."""
        moment = time.time() if at is None else at
        self._begin = moment if self._begin is None else min(self._begin, moment)
        self._end = None
        self._what.append(what)
        self._slots |= set(slots)
        if slots and self._taken is None:
            self._taken = moment
        console.say(f"    [yellow]{what}[/yellow]")

    def on_heal(self, undo: Callable[[], object]) -> None:
        """Has `undo` called when the scenario is over, or fails, or is interrupted."""
        self._heals.callback(undo)

    def hold(self, seconds: float) -> None:
        """Leaves things as they are for a while."""
        time.sleep(seconds)

    def over(self) -> None:
        """Notes that what was done is over; else it is when everything is healed."""
        self._end = time.time()

    def heal(self) -> None:
        """Undoes every fault, the last one first; with one that cannot be undone the others still are."""
        if self._begin is not None and self._end is None:
            self._end = time.time()
        self._heals.close()

    def fault(self, recovered: float | None) -> Fault:
        """What was done in all. Raises DeployError where nothing was."""
        if self._begin is None or self._end is None:
            raise DeployError("The scenario did nothing.")
        return Fault(
            what="; ".join(self._what),
            begin=self._begin,
            end=self._end,
            slots=tuple(sorted(self._slots)),
            taken=self._taken,
            recovered=recovered,
        )

    def redis_primary(self) -> str:
        """The member that is the primary by its actual role."""
        return self._primary(Sample.redis_primaries, "Redis")

    def postgres_primary(self) -> str:
        """The member that is the primary by its actual role."""
        return self._primary(lambda sample: sample.postgres_primaries(), "PostgreSQL")

    def other(self, service: str, primary: str) -> str:
        """A member of the service that is not the primary. Raises HostError where there is none."""
        for member in self.target.members(service):
            if member != primary:
                return member
        raise HostError(f"{service} has one member only.")

    def node_of(self, member: str) -> Node:
        """The node on which a member runs. Raises HostError."""
        return self.target.container(member)[0]

    def leader(self) -> Node:
        """The swarm's leader. Raises HostError where the managers do not choose one in time."""
        deadline = time.monotonic() + _ELECTION_SECONDS
        with swarm.client(where=self.target.manager()) as api:
            while time.monotonic() < deadline:
                for found in api.nodes():
                    if (found.get("ManagerStatus") or {}).get("Leader"):
                        name = found["Description"]["Hostname"]
                        return next(node for node in self.target.nodes if node.name == name)
                time.sleep(0.5)
        raise HostError("The swarm has no leader.")

    def kill_container(self, service: str, node: Node | None = None) -> Node:
        """Ends a container of a service at once, as by a crash; Swarm starts another. Gives its node."""
        places = self.target.containers(service)
        place, container = next((found for found in places if node is None or found[0] == node), (None, ""))
        if place is None:
            raise HostError(f"{service} does not run{f' on {node.name}' if node else ''}.")
        with self.target.engine(place) as api:
            api.kill(container)
        self.done(f"{service} killed on {place.name}")
        self.over()
        return place

    def members(self) -> Members:
        """Commands in the members of the stack's clusters."""
        return Members(self.target.instance, self.target.manager(), self.target.engine_called)

    def roll(self, service: str, *, wait: bool = True, command: Sequence[str] | None = None) -> None:
        """Has Swarm replace every task of a service by its own rules, as it does for a new version.

        `command`: what the new tasks run instead of the program, which is a bad version that Swarm shall take back.
        """
        with swarm.client(where=self.target.manager()) as api:
            found = api.inspect_service(physical(self.target.instance, service))  # type: ignore[no-untyped-call]
            spec = found["Spec"]
            template = spec["TaskTemplate"]
            template["ForceUpdate"] = template.get("ForceUpdate", 0) + 1
            if command is not None:
                template["ContainerSpec"]["Command"] = list(command)
            api.update_service(
                found["ID"],
                found["Version"]["Index"],
                task_template=template,
                name=spec["Name"],
                labels=spec.get("Labels"),
                mode=spec["Mode"],
                update_config=spec.get("UpdateConfig"),
                rollback_config=spec.get("RollbackConfig"),
                endpoint_spec=spec.get("EndpointSpec"),
            )
        if wait:
            self.wait_for_update(service, "completed" if command is None else "rollback_completed")

    def wait_for_update(self, service: str, end: str = "completed") -> None:
        """Returns when an update of a service has that end. Raises DeployError where it has another, or none yet."""
        deadline = time.monotonic() + _UPDATE_SECONDS
        state = ""
        while time.monotonic() < deadline:
            time.sleep(1.0)
            with contextlib.suppress(HostError), swarm.client(10.0, where=self.target.manager()) as api:
                found = api.inspect_service(physical(self.target.instance, service))  # type: ignore[no-untyped-call]
                state = (found.get("UpdateStatus") or {}).get("State", "")
            if state == end:
                return
            if state and state not in _UNDER_WAY:
                break
        raise DeployError(f"The update of {service} is {state or 'unknown'} after at most {_UPDATE_SECONDS:.0f} s.")

    def pause_container(self, service: str) -> None:
        """A container of a service stands still, and is let go on when the scenario ends."""
        place, container = self.target.container(service)

        def go_on() -> None:
            with contextlib.suppress(Exception), self.target.engine(place) as api:
                api.unpause(container)

        with self.target.engine(place) as api:
            self.on_heal(go_on)
            api.pause(container)
        self.done(f"{service} paused on {place.name}")

    def eat_memory(self, service: str, seconds: float) -> None:
        """A process in the service's container takes memory up to the container's limit, again and again."""
        place, container = self.target.container(service)
        self.done(f"{service} on {place.name} short of memory")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            # The kernel ends whoever has most: this process, or the server; then its container is another one.
            with contextlib.suppress(Exception), self.target.engine(place, seconds + 30) as api:
                hungry = api.exec_create(container, ["timeout", f"{seconds:.0f}", "tail", "/dev/zero"])["Id"]
                api.exec_start(hungry)
            time.sleep(0.5)

    def kill_node(self, node: Node, *, comes_back: bool = True) -> None:
        """Power is cut; it comes back when the scenario ends, or after the run was judged."""
        if comes_back:
            self.on_heal(lambda: self._start(node))
        else:
            self._gone.add(node.slot)
        self.done(f"node {node.name} killed", at=faults.kill(self.lab, node.name).at, slots=(node.slot,))

    def stop_node(self, node: Node) -> None:
        """Shut down in order."""
        self.on_heal(lambda: self._start(node))
        self.done(f"node {node.name} stopped", at=faults.stop(self.lab, node.name).at, slots=(node.slot,))

    def pause_node(self, node: Node) -> None:
        """Stands still, as a machine does while it is moved."""
        self.on_heal(lambda: self._state(node) == "paused" and faults.unpause(self.lab, node.name))
        self.done(f"node {node.name} paused", at=faults.pause(self.lab, node.name).at, slots=(node.slot,))

    def partition(self, node: Node, *, one_way: bool = False) -> None:
        """Cut off from all other nodes."""
        self.on_heal(lambda: faults.heal(self.lab, node.name))
        done = faults.partition(self.lab, node.name, one_way=one_way)
        self.done(f"node {node.name} {done.detail}", at=done.at, slots=(node.slot,))

    def slow(self, node: Node, *, loss_percent: float = 0.0, rate_kbit: int | None = None) -> None:
        """A bad network."""
        self.on_heal(lambda: faults.heal(self.lab, node.name))
        done = faults.slow(self.lab, node.name, loss_percent=loss_percent, rate_kbit=rate_kbit)
        self.done(f"node {node.name} {done.detail}", at=done.at)

    def fill_disk(self, node: Node) -> None:
        """No space for the volumes."""
        self.on_heal(lambda: faults.heal(self.lab, node.name))
        done = faults.disk_full(self.lab, node.name)
        self.done(f"node {node.name}: {done.detail}", at=done.at)

    def bring_back(self) -> None:
        """Starts the nodes that were not to come back within the run."""
        for slot in sorted(self._gone):
            self._start(self.target.node(slot))
        self._gone.clear()

    def _start(self, node: Node) -> None:
        if self._state(node) in {"exited", "created"}:
            faults.start(self.lab, node.name)

    def _state(self, node: Node) -> str:
        return next(found.state for found in status.of(self.lab).nodes if found.slot == node.slot)

    def _primary(self, primaries: Callable[[Sample], list[str]], what: str) -> str:
        deadline = time.monotonic() + _LOOK_SECONDS
        while True:
            for sample in self._latest().values():
                if len(found := primaries(sample)) == 1:
                    return found[0]
            if time.monotonic() > deadline:
                raise HostError(f"{what} has no primary, so that there is nothing to break.")
            time.sleep(0.2)
