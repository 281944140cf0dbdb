"""Proves the alerts of a stack: rounds of faults under the requests of users, and what the witness saw of each."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import datetime
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import filelock

from infra import names
from ops import console
from ops.alerts import delivery, rules, witness
from ops.alerts.fault import Fault, Kind, Round
from ops.alerts.proof import Proof, as_json
from ops.alerts.scene import Scene
from ops.alerts.timeline import FIRING, PENDING, Page, fits
from ops.alerts.witness import Witness
from ops.chaos import edge
from ops.chaos import target as targets
from ops.chaos.stage import Stage
from ops.chaos.target import SILENT, Target
from ops.errors import DeployError, OpsError, StateError
from ops.stack import instances
from ops.stack.backups import Service
from ops.stack.reference import Stack

REQUESTS_PER_SECOND = 4.0
# The alert about flapping tasks looks a quarter of an hour back.
RESOLVED_SECONDS = 1200.0
_CALM_SECONDS = 240.0
_FIRST_PAGE_SECONDS = 90.0
# Most look five minutes back.
_NEW_SECONDS = 420.0
_LOOK_SECONDS = 0.5
# What this machine is short of is no fault of the stack's.
_MACHINES = names.NODE_EXPORTER.removesuffix("-exporter")
_FIRST = "PideaProofBegins"
_OF_THE_PROOF = "PideaProof"


@dataclasses.dataclass
class _Done:
    """A fault that was caused: when it took effect, when its healing began, and what went wrong."""

    fault: Fault
    begun: float
    effect: float
    healed: float
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Session:
    """A stack that is used and watched. Made by `opened`. `over` ends every waiting: what was caused is healed then."""

    target: Target
    witness: Witness
    over: threading.Event = dataclasses.field(default_factory=threading.Event)
    done: list[_Done] = dataclasses.field(default_factory=list)

    def prove(self, rounds: Sequence[Round]) -> list[Proof]:
        """All rounds; then waits until what was told is over. Ctrl-C ends it with what is known by then."""
        try:
            for found in rounds:
                with console.step(f"Round {found.name}: {', '.join(fault.name for fault in found.faults)}"):
                    self._round(found)
                    self._scene().wait_until_whole()
            with console.step("Until all of it is over"):
                self._wait_until_over()
        except KeyboardInterrupt:
            console.say("    Interrupted; this is what was seen until now.")
        return [proof for one in self.done for proof in self._proofs(one)]

    def unexpected(self, proven: Sequence[Proof], since: float) -> list[Page]:
        """Pages about alerts that no fault was about."""
        known = {proof.alert for proof in proven}
        return [page for page in self.pages(since) if page.labels["alertname"] not in known]

    def pages(self, since: float) -> list[Page]:
        """What was told, without what is told for the proof alone."""
        return [
            page
            for page in self.witness.timeline.pages(since)
            if page.status == FIRING and not page.labels["alertname"].startswith(_OF_THE_PROOF)
        ]

    def wait_until_calm(self) -> None:
        """Returns when nothing fires. Raises DeployError: what fires already cannot be told for the first time."""
        deadline = time.monotonic() + _CALM_SECONDS
        while firing := [one for one in self.witness.timeline.now() if one.get("service") != _MACHINES]:
            if time.monotonic() > deadline:
                names_ = ", ".join(sorted({one["alertname"] for one in firing}))
                raise DeployError(f"Alerts fire before anything was caused: {names_}; see the runbook of each.")
            time.sleep(_LOOK_SECONDS)

    def wait_until_told(self) -> None:
        """Has a page delivered to the witness. Raises DeployError where it does not arrive."""
        begun = time.time()
        with self.witness.hold("alert", _FIRST, "critical"):
            while (told := self.witness.timeline.told(_FIRST, {}, FIRING, begun)) is None:
                if time.time() - begun > _FIRST_PAGE_SECONDS:
                    raise DeployError("Alertmanager does not reach the witness; see its log with `./pidea logs`.")
                time.sleep(_LOOK_SECONDS)
        console.say(f"    a first page took {told - begun:.1f} s")

    def _wait_until_new(self, fault: Fault) -> None:
        """Returns when none of its alerts is there already: it would not be told again, or of another fault."""
        wanted = [{"alertname": alert, **fault.labels} for alert in fault.alerts]
        deadline = time.monotonic() + _NEW_SECONDS
        while time.monotonic() < deadline and not self.over.wait(_LOOK_SECONDS):
            there = self.witness.timeline.now({PENDING, FIRING})
            if not any(fits(labels, one) for labels in there for one in wanted):
                return

    def _round(self, found: Round) -> None:
        with concurrent.futures.ThreadPoolExecutor(len(found.lanes)) as pool:
            try:
                lanes = [pool.submit(self._lane, lane) for lane in found.lanes]
                # One that could not go on ends the others.
                concurrent.futures.wait(lanes, return_when=concurrent.futures.FIRST_EXCEPTION)
                for lane in lanes:
                    lane.result()
            except BaseException:
                self.over.set()
                console.say("    Healing what was caused; this takes some seconds.")
                raise

    def _lane(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            if not self.over.is_set():
                self.done.append(self._cause(fault))

    def _cause(self, fault: Fault) -> _Done:
        scene = self._scene()
        self._wait_until_new(fault)
        done = _Done(fault, begun=time.time(), effect=0.0, healed=0.0)
        try:
            with fault.act(scene):
                done.effect = scene.effect_at or time.time()
                console.say(f"    [yellow]{fault.name}[/yellow]: {fault.summary}")
                self._wait_until_all_told(done)
                done.healed = time.time()
        except (OpsError, subprocess.SubprocessError, *SILENT) as error:
            done.problem = f"could not be caused or healed: {error}"
            done.effect, done.healed = done.effect or time.time(), done.healed or time.time()
        for alert in fault.alerts:
            told = self._told(done, alert)
            after = "not told" if told is None else f"told after {max(0.0, told - done.effect):.1f} s"
            console.say(f"    {fault.name}: {alert} {done.problem or after}")
        return done

    def _wait_until_all_told(self, done: _Done) -> None:
        deadline = done.effect + done.fault.patience_seconds
        while time.time() < deadline and any(self._told(done, alert) is None for alert in done.fault.alerts):
            if self.over.wait(_LOOK_SECONDS):
                return

    def _scene(self) -> Scene:
        return Scene(self.target, self.witness, self.over)

    def _told(self, done: _Done, alert: str) -> float | None:
        return self.witness.timeline.told(alert, done.fault.labels, FIRING, done.begun)

    def _wait_until_over(self) -> None:
        waiting = [
            (one, alert)
            for one in self.done
            for alert in one.fault.alerts
            if alert not in one.fault.lasting and self._told(one, alert) is not None
        ]
        while waiting:
            for one, alert in list(waiting):
                over = self.witness.timeline.left(alert, one.fault.labels, one.healed)
                if over is not None or time.time() - one.healed > RESOLVED_SECONDS:
                    waiting.remove((one, alert))
                    how = "is not over" if over is None else f"over {over - one.healed:.0f} s after its healing"
                    console.say(f"    {alert} {how}")
            time.sleep(_LOOK_SECONDS)

    def _proofs(self, done: _Done) -> Iterator[Proof]:
        timeline, labels = self.witness.timeline, done.fault.labels

        def after(at: float | None, since: float) -> float | None:
            return None if at is None else round(max(0.0, at - since), 1)

        for alert in done.fault.alerts:
            told = self._told(done, alert)
            over = None if told is None else timeline.left(alert, labels, done.healed)
            yield Proof(
                alert=alert,
                severity=rules.alerts()[alert].severity,
                fault=done.fault.name,
                summary=done.fault.summary,
                pending_seconds=after(timeline.entered(alert, labels, {PENDING, FIRING}, done.begun), done.effect),
                firing_seconds=after(timeline.entered(alert, labels, {FIRING}, done.begun), done.effect),
                page_seconds=after(told, done.effect),
                resolved_seconds=after(over, done.healed),
                problem=done.problem,
                is_lasting=alert in done.fault.lasting,
            )


def kind_of(target: Target) -> Kind:
    """Which faults can be caused on the stack."""
    return Kind.SINGLE if target.lab is None else Kind.LAB


@contextlib.contextmanager
def opened(stack: Stack) -> Iterator[Session]:
    """The stack, used and watched; the witness alone is told of its alerts. All of it is taken back at the end.

    Raises StateError where chaos or another proof is at work on it, DeployError where alerts fire to begin with.
    """
    instances.require(stack)
    mutex = filelock.FileLock(stack.folder / "chaos.lock")
    try:
        mutex.acquire(timeout=0)
    except filelock.Timeout:
        raise StateError(f"Something else breaks {stack.name} just now; wait for it to end.") from None
    with mutex, contextlib.ExitStack() as undo:
        target = targets.of(stack)
        with console.step("Witness"):
            seen = undo.enter_context(witness.watching(target))
            undo.enter_context(delivery.to_witness(target))
        session = Session(target, seen)
        with console.step("Until nothing fires, and a page arrives"):
            session.wait_until_calm()
            session.wait_until_told()
        plan = edge.Plan(
            run=secrets.token_hex(3),
            edges=target.edges(),
            token=target.token,
            trusted=target.trusted,
            per_second=REQUESTS_PER_SECOND,
        )
        undo.enter_context(edge.Load(plan))
        yield session


def prove(stack: Stack, rounds: Sequence[Round]) -> dict[str, Any]:
    """The report of all rounds."""
    begun = time.time()
    with opened(stack) as session:
        proofs = session.prove(rounds)
        others = session.unexpected(proofs, begun)
        kind = kind_of(session.target)
    return {
        **_about(stack, kind.value, begun),
        "held": all(proof.held for proof in proofs),
        "alerts": [as_json(proof) for proof in proofs],
        "also_told": _named(others, begun),
    }


def calm(stack: Stack, minutes: float) -> dict[str, Any]:
    """The report of a time in which nothing is wrong: requests, a rolling deployment, a backup. Nothing may be told."""
    begun = time.time()
    with opened(stack) as session:
        since = time.time()
        steps: Mapping[float, tuple[str, Any]] = {
            1 / 3: ("a rolling deployment of the application", lambda: Stage(session.target, dict).roll(names.APP)),
            2 / 3: ("a backup", lambda: Service(stack, session.target.plan).ask("now")),
            1.0: ("the rest", lambda: None),
        }
        for share, (what, act) in steps.items():
            _watch(session, since, since + share * minutes * 60)
            with console.step(what.capitalize()):
                act()
        told = session.pages(since)
        kind = kind_of(session.target)
    return {
        **_about(stack, kind.value, begun),
        "minutes": round((time.time() - since) / 60, 1),
        "held": not told,
        "told": _named(told, since),
    }


def _watch(session: Session, since: float, until: float) -> None:
    while time.time() < until and not session.pages(since):
        time.sleep(_LOOK_SECONDS)


def _about(stack: Stack, kind: str, begun: float) -> dict[str, Any]:
    begin = datetime.datetime.fromtimestamp(begun, datetime.UTC)
    return {
        "stack": stack.environment,
        "kind": kind,
        "begin": begin.isoformat(timespec="seconds"),
        "seconds": round(time.time() - begun, 1),
    }


def _named(pages: Sequence[Page], since: float) -> list[dict[str, Any]]:
    return [
        {
            "alert": page.labels["alertname"],
            "service": page.labels.get("service", ""),
            "after": round(page.at - since, 1),
        }
        for page in pages
    ]
