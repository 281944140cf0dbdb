"""The circuit breaker against a simple model, whatever happens in whatever order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.errors import BreakerOpenError, DeadlineExceededError
from app.events import BreakerState, Event
from app.resilience import breaker as module
from app.resilience.breaker import CircuitBreaker

THRESHOLD = 3
OPEN_SECONDS = 10.0


@dataclass(eq=False)
class Call:
    """A call under way: how it shall end, and what the model knew when it began."""

    task: asyncio.Task[None]
    ending: asyncio.Future[None]
    change: int
    began: int


@dataclass
class Model:
    """What is expected, told in the words of the requirement rather than of the code."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    changes: int = 0
    probe: Call | None = None
    open_until: float = 0.0
    # When the last counted failure happened; calls that began before it overlap it.
    failed_at: int = -1
    steps: int = field(default=0)

    def go(self, state: BreakerState) -> None:
        self.state, self.failures, self.probe = state, 0, None
        self.changes += 1


class Machine(RuleBasedStateMachine):
    """Calls begin, end well or badly, or are left; time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "JITTER", 0.0)
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.events: list[Event] = []
        self.breaker = CircuitBreaker(
            "redis",
            self.events.append,
            failure_threshold=THRESHOLD,
            open_seconds=OPEN_SECONDS,
            failures=(ConnectionError,),
            clock=lambda: self.now,
        )
        self.model = Model()
        self.calls: list[Call] = []

    def teardown(self) -> None:
        for call in self.calls:
            call.task.cancel()
        self._turn()
        self.loop.close()
        self.patch.undo()

    def _turn(self) -> None:
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))

    @rule()
    def begin(self) -> None:
        model = self.model
        model.steps += 1
        if model.state is BreakerState.OPEN and self.now >= model.open_until:
            model.go(BreakerState.HALF_OPEN)
        refused = model.state is BreakerState.OPEN or model.probe is not None
        ending: asyncio.Future[None] = self.loop.create_future()

        async def operation() -> None:
            await ending

        task = self.loop.create_task(self.breaker.call(operation))
        self._turn()
        assert task.done() == refused
        if refused:
            assert isinstance(task.exception(), BreakerOpenError)
            return
        call = Call(task, ending, model.changes, model.steps)
        self.calls.append(call)
        if model.state is BreakerState.HALF_OPEN:
            model.probe = call

    @precondition(lambda self: self.calls)
    @rule(number=st.integers(0, 50), ending=st.sampled_from(["good", "answer", "bad", "bad", "bad", "left", "hurried"]))
    def end(self, number: int, ending: str) -> None:
        model = self.model
        model.steps += 1
        call = self.calls.pop(number % len(self.calls))
        errors = {"answer": ValueError(), "bad": ConnectionError(), "hurried": DeadlineExceededError("late")}
        if ending == "left":
            call.task.cancel()
        elif ending == "good":
            call.ending.set_result(None)
        else:
            call.ending.set_exception(errors[ending])
        self._turn()
        assert call.task.done()
        if not call.task.cancelled():
            assert call.task.exception() is errors.get(ending)
        if call.change != model.changes:
            return  # It began before the last change: it says nothing about now.
        if ending in ("good", "answer"):
            model.failures = 0
            if model.state is BreakerState.HALF_OPEN:
                model.go(BreakerState.CLOSED)
        elif ending == "bad" and call.began > model.failed_at:
            model.failed_at = model.steps
            model.failures += 1
            if model.state is BreakerState.HALF_OPEN or model.failures == THRESHOLD:
                model.open_until = self.now + OPEN_SECONDS
                model.go(BreakerState.OPEN)
        elif ending in ("left", "hurried") and model.probe is call:
            model.probe = None

    @rule(seconds=st.sampled_from([1.0, OPEN_SECONDS / 2, OPEN_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def agrees(self) -> None:
        assert self.breaker.state is self.model.state
        assert len(self.events) == self.model.changes
        if self.model.state is BreakerState.OPEN:
            assert self.breaker.retry_after_seconds == max(0.0, self.model.open_until - self.now)
        else:
            assert self.breaker.retry_after_seconds == 0.0


TestBreakerModel = Machine.TestCase
TestBreakerModel.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
