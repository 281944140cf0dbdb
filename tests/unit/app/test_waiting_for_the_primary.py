"""Who waits for the next primary, for what, and how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from app.storage.patience import NotConnectedError, Patience


class Clock:
    """Goes on by itself only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()

    async def sleep(seconds: float) -> None:
        made.now += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return made


def _failing(clock: Clock, until: float, error: Exception) -> Callable[[], object]:
    async def run() -> str:
        if clock.now < until:
            raise error
        return "done"

    return run


def _call(waiting: Patience, run: Callable[[], object], *, repeatable: bool) -> object:
    return asyncio.run(waiting.call(run, repeatable=repeatable))  # type: ignore[arg-type]


NEVER_SENT = [NotConnectedError("nobody"), asyncpg.exceptions.ReadOnlySQLTransactionError("standby")]
PERHAPS_DONE = [
    asyncpg.exceptions.ConnectionDoesNotExistError("broken"),
    asyncpg.exceptions.AdminShutdownError("ended"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
]


@pytest.mark.parametrize("error", [*NEVER_SENT, *PERHAPS_DONE], ids=lambda error: type(error).__name__)
def test_what_may_be_repeated_waits(clock: Clock, error: Exception) -> None:
    assert _call(Patience(6.0, clock), _failing(clock, 105.5, error), repeatable=True) == "done"


@pytest.mark.parametrize("error", NEVER_SENT, ids=lambda error: type(error).__name__)
def test_what_was_not_sent_waits(clock: Clock, error: Exception) -> None:
    assert _call(Patience(6.0, clock), _failing(clock, 105.5, error), repeatable=False) == "done"


@pytest.mark.parametrize("error", PERHAPS_DONE, ids=lambda error: type(error).__name__)
def test_what_was_perhaps_done_is_not_done_again(clock: Clock, error: Exception) -> None:
    with pytest.raises(type(error)):
        _call(Patience(6.0, clock), _failing(clock, 105.5, error), repeatable=False)
    assert clock.now == 100.0


@pytest.mark.parametrize("seconds", [0.0, 6.0])
def test_an_answer_is_no_reason_to_wait(clock: Clock, seconds: float) -> None:
    with pytest.raises(asyncpg.exceptions.UniqueViolationError):
        _call(
            Patience(seconds, clock),
            _failing(clock, 105.5, asyncpg.exceptions.UniqueViolationError("twice")),
            repeatable=True,
        )
    assert clock.now == 100.0


def test_one_server_alone_is_not_waited_for(clock: Clock) -> None:
    with pytest.raises(NotConnectedError):
        _call(Patience(0.0, clock), _failing(clock, 100.05, NotConnectedError("nobody")), repeatable=True)
    assert clock.now == 100.0


def test_a_primary_that_stays_away_is_waited_for_once(clock: Clock) -> None:
    waiting = Patience(6.0, clock)
    for _ in range(2):
        with pytest.raises(NotConnectedError):
            _call(waiting, _failing(clock, 200.0, NotConnectedError("nobody")), repeatable=True)
        assert 105.5 < clock.now < 106.0

    # It is back, and missing again: that is another time.
    clock.now = 200.0
    assert _call(waiting, _failing(clock, 200.0, NotConnectedError("nobody")), repeatable=True) == "done"
    assert _call(waiting, _failing(clock, 203.0, NotConnectedError("nobody")), repeatable=True) == "done"


def test_one_looks_and_the_others_wait_for_its_word() -> None:
    attempts = 0
    is_there = False

    async def run() -> str:
        nonlocal attempts
        attempts += 1
        if not is_there:
            raise NotConnectedError("nobody")
        return "done"

    async def all_at_once() -> list[str]:
        nonlocal is_there
        waiting = Patience(6.0)
        calls = [asyncio.create_task(waiting.call(run, repeatable=True)) for _ in range(50)]
        await asyncio.sleep(0.5)
        is_there = True
        return await asyncio.wait_for(asyncio.gather(*calls), 1.0)

    assert asyncio.run(all_at_once()) == ["done"] * 50
    # Each once before and once after, and in between one of them a few times.
    assert attempts < 50 + 50 + 12


def test_another_looks_when_the_one_who_did_leaves() -> None:
    is_there = False

    async def run() -> str:
        if not is_there:
            raise NotConnectedError("nobody")
        return "done"

    async def leaving() -> str:
        nonlocal is_there
        waiting = Patience(6.0)
        first, second = (asyncio.create_task(waiting.call(run, repeatable=True)) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        is_there = True
        return await asyncio.wait_for(second, 1.0)

    assert asyncio.run(leaving()) == "done"
