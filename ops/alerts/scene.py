"""What a fault has at hand: the stack's services, commands in them, and a hand in the stack's own networks."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from infra import names
from infra.names import physical
from infra.spec import DeploymentPlan
from ops.alerts.witness import Witness
from ops.chaos.stage import Stage
from ops.chaos.target import SILENT, Node, Target
from ops.cluster import postgres, redis
from ops.cluster.members import Members
from ops.errors import DeployError
from ops.stack import scale, swarm
from ops.stack.backups import Service
from ops.stack.reference import Stack

_WHOLE_SECONDS = 240.0
_AGAIN_SECONDS = 60.0
_LOOK_SECONDS = 0.5


class Scene:
    """Of one fault. `effect_at` is when it took effect, where the fault says so itself; `over` ends every waiting."""

    def __init__(self, target: Target, witness: Witness, over: threading.Event) -> None:
        self.target = target
        self.witness = witness
        self.over = over
        self.effect_at: float | None = None

    @property
    def stage(self) -> Stage:
        """Chaos' own faults; it is for those who enter it to leave it."""
        return Stage(self.target, dict)

    @property
    def members(self) -> Members:
        """Commands in the stack's services."""
        return self.stage.members()

    @property
    def backups(self) -> Service:
        """The backup service."""
        return Service(self.target.stack, self.target.plan)

    def hold(self, seconds: float) -> None:
        """Leaves things as they are for a while."""
        self.over.wait(seconds)

    def effect(self) -> None:
        """Notes that the fault takes effect now, where it begins before all of it is done."""
        self.effect_at = time.time()

    @contextlib.contextmanager
    def stopped(self, *services: str) -> Iterator[None]:
        """No task of these services runs. Left when all run again and are healthy."""
        try:
            self._all(scale.stop, services)
            yield
        finally:
            # Together: a member of a cluster may not be well before the others are there.
            self._all(scale.start, services)

    @contextlib.contextmanager
    def paused(self, *services: str, slot: int | None = None) -> Iterator[None]:
        """Every container of these services stands still, with `slot` those on that node.

        Nobody ends it meanwhile: of what is paused the engine does not ask for the health.
        """
        with contextlib.ExitStack() as undo:
            for service in services:
                for node, container in self._running(service):
                    if slot not in {None, node.slot}:
                        continue
                    with self.target.engine(node) as api:
                        undo.callback(self._go_on, node.slot, container)
                        api.pause(container)
            yield

    @contextlib.contextmanager
    def again_and_again(self, act: Callable[[], object], pause_seconds: float) -> Iterator[None]:
        """Does something now and then until the block ends; what fails once is done again the next time."""
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                with contextlib.suppress(*SILENT, DeployError):
                    act()
                over.wait(pause_seconds)

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        try:
            yield
        finally:
            over.set()
            worker.join(_AGAIN_SECONDS)

    def stall(self, service: str, seconds: float) -> None:
        """The first container of a service stands still for a moment."""
        node, container = self._running(service)[0]
        with self.target.engine(node) as api:
            api.pause(container)
            try:
                time.sleep(seconds)
            finally:
                api.unpause(container)

    def replace(self, service: str) -> None:
        """A service's container ends, and Swarm starts another one; returns when that one runs."""
        node, container = self._running(service)[0]
        with self.target.engine(node) as api:
            api.kill(container)
        deadline = time.monotonic() + _WHOLE_SECONDS
        while not any(found != container for _, found in self.target.containers(service)):
            if time.monotonic() > deadline:
                raise DeployError(f"{service} does not come back.")
            time.sleep(_LOOK_SECONDS)

    def sql(self, statement: str) -> str:
        """What PostgreSQL's superuser is told; in a cluster it is the primary that is asked."""
        member = self.postgres_primary() if len(self.target.members(names.POSTGRES)) > 1 else names.POSTGRES
        command = ("psql", "-XAtq", "--dbname=postgres", "--set=ON_ERROR_STOP=1", "--command", statement)
        return self.members.run(member, command)

    def postgres_primary(self) -> str:
        """The member that is PostgreSQL's primary by its own server's word. Raises DeployError."""
        for member in self.target.members(names.POSTGRES):
            if postgres.look(self.members.run, member).role == "primary":
                return member
        raise DeployError("PostgreSQL has no primary just now.")

    def redis_replica(self) -> str:
        """A server of Redis' cluster that is not the primary, by its own word. Raises DeployError."""
        layout = redis.layout(self.target.plan)
        seen = redis.view(layout, self.members.run).servers if layout is not None else {}
        for name, server in seen.items():
            if server.role == "slave":
                return name
        raise DeployError("Redis has no replica just now.")

    def wait_until_whole(self) -> None:
        """Returns when every service has its tasks. Raises DeployError with those that have not."""
        deadline = time.monotonic() + _WHOLE_SECONDS
        while missing := self._missing():
            if time.monotonic() > deadline:
                raise DeployError(f"Not whole again: {', '.join(missing)}; see `./pidea status`.")
            time.sleep(_LOOK_SECONDS)

    def _all(self, act: Callable[[Stack, DeploymentPlan, str], None], services: Sequence[str]) -> None:
        with concurrent.futures.ThreadPoolExecutor(len(services)) as pool:
            list(pool.map(lambda service: act(self.target.stack, self.target.plan, service), services))

    def _missing(self) -> list[str]:
        with swarm.client(where=self.target.manager()) as api:
            found = swarm.services(api, self.target.instance)
        wanted = {physical(self.target.instance, spec.name): spec.replicas for spec in self.target.plan.services}
        return [name for name, count in wanted.items() if name not in found or len(found[name].running) < count]

    def _running(self, service: str) -> list[tuple[Node, str]]:
        found = self.target.containers(service)
        if not found:
            raise DeployError(f"{service} does not run, so that there is nothing to break.")
        return found

    def _go_on(self, slot: int, container: str) -> None:
        with contextlib.suppress(*SILENT), self.target.engine(self.target.node(slot)) as api:
            api.unpause(container)
