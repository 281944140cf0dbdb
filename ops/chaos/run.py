"""One scenario, once: load, fault, healing, recovery, and what is left afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
from collections.abc import Callable, Iterator

from ops import console, looking
from ops.chaos import clients, edge, goals, invariants
from ops.chaos.follow import Follower
from ops.chaos.records import Fault, Observation
from ops.chaos.scenario import Scenario
from ops.chaos.stage import Stage
from ops.chaos.target import Target
from ops.errors import DeployError, OpsError
from ops.stack import marks

WARM_SECONDS = 4.0
# After the recovery: what breaks only then shall be seen.
SETTLE_SECONDS = 4.0
WHOLE_BEFORE_SECONDS = 180.0
# Twice the goal: a recovery that takes longer than it may is to be measured, not cut off.
RECOVERY_SECONDS = 120.0
# Whole now and whole this much later: not between two troubles.
STEADY_SECONDS = 2.0
_LOOK_SECONDS = 0.5
# An engine that is short of processors hands its containers' words on late.
TELL_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rates:
    """Requests a second of each client outside, and writes a second of each writer inside."""

    requests: float = 10.0
    writes: float = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """A scenario's `repeat`-th run (from 1), as seen and as judged."""

    scenario: Scenario
    repeat: int
    observation: Observation
    verdict: goals.Verdict


class Session:
    """The clients inside stay for all scenarios of a command. Made by `opened`."""

    def __init__(self, target: Target, run: str, rates: Rates, follower: Follower) -> None:
        self.target = target
        self._run = run
        self._rates = rates
        self._follower = follower
        self._count = 0

    def run(self, scenario: Scenario, repeat: int) -> Result:
        """Does it, and judges. Raises OpsError only where it could not begin, or not be healed."""
        self._count += 1
        self._wait_until_whole()
        stage = Stage(self.target, self._follower.followed.latest)
        try:
            observation = self._observe(scenario, stage, f"{self._run}-{self._count}")
        finally:
            stage.bring_back()
        if not observation.error:
            what = f"chaos {scenario.name}: {observation.fault.what}"
            marks.tell(self.target.call, "chaos", what, timestamp_seconds=observation.fault.begin)
        verdict = goals.judge(observation, scenario.asked)
        return Result(scenario=scenario, repeat=repeat, observation=observation, verdict=verdict)

    def _observe(self, scenario: Scenario, stage: Stage, name: str) -> Observation:
        plan = edge.Plan(
            run=name,
            edges=self.target.edges(),
            token=self.target.token,
            trusted=self.target.trusted,
            per_second=self._rates.requests,
        )
        error, begin = "", time.time()
        with edge.Load(plan) as load:
            time.sleep(WARM_SECONDS)
            with stage:
                try:
                    scenario.act(stage)
                except OpsError as problem:
                    error = f"the scenario could not be done: {problem}"
            recovered, violations = self._recovery(stage)
            time.sleep(SETTLE_SECONDS)
            requests = load.stop()
        end = time.time()
        violations += self._untold(stage.gone, end)
        writes, samples = self._follower.followed.between(begin, end)
        # Read a little back: a write is named by when it was tried, and counted by when it was answered.
        since = begin - 5.0
        return Observation(
            scenario=scenario.name,
            begin=begin,
            end=end,
            fault=Fault(what=error, begin=begin, end=begin) if error else stage.fault(recovered),
            nodes=len(self.target.nodes),
            writes=writes,
            requests=requests,
            samples=samples,
            stored_messages=tuple(clients.ask(self.target, "messages", name)),
            stored_redis=frozenset(clients.ask(self.target, "redis", self._run, since)),
            stored_postgres=frozenset(clients.ask(self.target, "postgres", self._run, since)),
            violations=tuple(violations),
            error=error,
        )

    def _untold(self, gone: frozenset[int], end: float) -> list[str]:
        """Waits until the clients inside have told all up to `end`; those that do not are named."""
        deadline = time.monotonic() + TELL_SECONDS
        while True:
            latest = self._follower.followed.latest()
            late = [node for node in self.target.nodes if node.slot not in gone]
            late = [node for node in late if node.slot not in latest or latest[node.slot].at < end]
            if not late:
                return []
            if time.monotonic() > deadline:
                return [
                    f"the clients on {node.name} did not tell all: what is missing is not measured" for node in late
                ]
            time.sleep(_LOOK_SECONDS)

    def clean(self) -> None:
        """Removes what the runs wrote."""
        clients.ask(self.target, "clean", self._run)

    def _wait_until_whole(self) -> None:
        if found := looking.until_none(self._problems, WHOLE_BEFORE_SECONDS, indent="    "):
            raise DeployError("The stack is not whole, so that nothing is broken on top:\n" + "\n".join(found))

    def _problems(self, gone: frozenset[int] = frozenset()) -> list[str]:
        return invariants.problems(self.target, self._follower.followed.latest(), ignore=gone)

    def _recovery(self, stage: Stage) -> tuple[float | None, list[str]]:
        """When the stack was whole again and stayed so, or None and what did not hold."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        since: float | None = None
        found: list[str] = []
        # What was killed a moment ago may not be missed yet.
        time.sleep(1.0)
        while time.monotonic() < deadline:
            at = time.time()
            if found := self._problems(stage.gone):
                since = None
            elif since is None:
                since = at
            elif at - since >= STEADY_SECONDS:
                console.say(f"    whole again after {since - stage.ended:.1f} s")
                return since, []
            time.sleep(_LOOK_SECONDS)
        return None, [f"{RECOVERY_SECONDS:.0f} s after the fault's end: {line}" for line in found]


@contextlib.contextmanager
def opened(target: Target, rates: Rates, seconds: float) -> Iterator[Session]:
    """A session that may last so long. The clients inside are removed with it, in any event."""
    run = secrets.token_hex(3)
    with contextlib.ExitStack() as stack:
        with console.step("Clients on every node"):
            plan = clients.Plan(run=run, seconds=seconds, writes_per_second=rates.writes)
            stack.enter_context(clients.running(target, plan))
            follower = stack.enter_context(Follower(target))
        session = Session(target, run, rates, follower)
        try:
            yield session
        finally:
            with contextlib.suppress(OpsError):
                session.clean()


def several(
    session: Session,
    scenarios: list[Scenario],
    repeats: int,
    on_result: Callable[[Result], None],
) -> list[Result]:
    """All scenarios, then all of them again, …: what drifts with time troubles each of them alike."""
    done = []
    for repeat in range(1, repeats + 1):
        for scenario in scenarios:
            with console.step(f"{scenario.name} ({repeat} of {repeats})" if repeats > 1 else scenario.name):
                result = session.run(scenario, repeat)
            on_result(result)
            done.append(result)
    return done
