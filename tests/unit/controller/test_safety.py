"""Whatever a look may see, what must never be done is not called for."""

from __future__ import annotations

from random import Random

import pytest

from ops.controller.decide import decide
from ops.controller.decision import Repair
from ops.controller.observation import Known, Observation, Sentinel, Server
from tests.unit.controller.observations import NOBODY, SENTINELS, SERVERS

# Most of them are nonsense in many ways at once; enough must be such that something is done.
OBSERVATIONS = 10_000
ADDRESSES = (*SERVERS, NOBODY)


def server(dice: Random, address: str) -> Server:
    if dice.random() < 0.1:
        return Server(address=address)
    is_primary = dice.random() < 0.4
    return Server(
        address=address,
        answers=True,
        role="master" if is_primary else "slave",
        run_id=f"run-{address}",
        follows="" if is_primary else dice.choice(ADDRESSES),
        link_is_up=not is_primary and dice.random() < 0.5,
        is_busy=dice.random() < 0.1,
        history=dice.choice(["h1", "h1", "h2"]),
        offset=dice.randint(0, 3),
        previous_history=dice.choice(["h1", "0"]),
        previous_end=dice.randint(-1, 3),
        replicas=dice.randint(0, 2),
        keys=dice.randint(0, 2),
    )


def sentinel(dice: Random, address: str, favourite: str) -> Sentinel:
    if dice.random() < 0.1:
        return Sentinel(address=address)
    flags = {flag for flag in ("s_down", "failover_in_progress") if dice.random() < 0.1}
    known = dice.sample(ADDRESSES, dice.randint(0, 4))
    return Sentinel(
        address=address,
        answers=True,
        primary=favourite if dice.random() < 0.7 else dice.choice([*ADDRESSES, ""]),
        flags=frozenset({"master", *flags}),
        others=dice.choice([2, 2, 2, 1, 3]),
        replicas=tuple(
            Known(address=one, flags=frozenset({"slave", *(["s_down"] if dice.random() < 0.5 else [])}))
            for one in known
        ),
    )


def observation(number: int) -> Observation:
    dice = Random(number)  # noqa: S311 - chance, not secrecy
    favourite = dice.choice(ADDRESSES)
    return Observation(
        servers=tuple(server(dice, address) for address in SERVERS),
        sentinels=tuple(sentinel(dice, address, favourite) for address in SENTINELS),
    )


def assert_safe(seen: Observation) -> list[Repair]:
    """What is called for, all of it safe."""
    done = []
    answering = {s.address for s in seen.servers if s.answers} | {s.address for s in seen.sentinels if s.answers}
    for decision in decide(seen):
        assert decision.reason
        if decision.repair is None:
            continue
        done.append(decision.repair)
        assert not seen.fails_over, "nobody works beside a sentinel's failover"
        assert set(decision.subjects) <= answering
        assert decision.primary in answering
        primary = seen.server(decision.primary)
        assert primary is not None
        if decision.repair is Repair.PROMOTE:
            assert not seen.primaries
            assert seen.all_answer
            assert all(primary.holds_all_of(other) for other in seen.servers if other is not primary)
            continue
        assert primary.is_primary, "nothing is pointed at what is no primary"
        if decision.repair is Repair.FOLLOW:
            (address,) = decision.subjects
            server = seen.server(address)
            assert server is not None
            assert server is not primary
            assert not (server.is_primary and server.replicas), "its replicas may have acknowledged writes"
            assert not (server.keys and not primary.keys), "no data is replaced by nothing"
            assert seen.agreed == primary.address or (seen.all_answer and primary.holds_all_of(server))
        else:
            assert len(seen.primaries) == 1
        if decision.repair is Repair.RESET:
            assert set(SENTINELS) <= answering
            assert {sentinel.primary for sentinel in seen.sentinels} == {primary.address}
    return done


def test_no_repair_is_unsafe() -> None:
    made: set[Repair] = set()
    for number in range(OBSERVATIONS):
        try:
            made.update(assert_safe(observation(number)))
        except AssertionError as error:
            pytest.fail(f"observation({number}): {error}")
    assert made == set(Repair), "the observations call for every kind of repair"
