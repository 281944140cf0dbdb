"""A deployment does not begin on what is degraded; what heals by itself within seconds is given them."""

from __future__ import annotations

import time

import pytest

from ops.errors import DeployError
from ops.stack import update


class Cluster:
    """Its invariants do not hold the first `times` that they are looked at."""

    def __init__(self, times: int) -> None:
        self.times, self.looked = times, 0

    def problems(self) -> list[str]:
        self.looked += 1
        return ["redis-1 hears 1 replicas, there are 2"] if self.looked <= self.times else []

    def primary(self, cluster: str) -> str | None:
        raise AssertionError(f"nobody asks for the primary of {cluster}")

    def hand_over(self, cluster: str) -> None:
        raise AssertionError(f"nobody hands {cluster} over")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were slept; nobody really sleeps."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + sum(slept))
    return slept


def test_what_is_whole_is_looked_at_once() -> None:
    cluster = Cluster(0)
    update.guard(cluster, force=False)
    assert cluster.looked == 1


def test_what_heals_within_seconds_is_no_reason_to_refuse(capsys: pytest.CaptureFixture[str]) -> None:
    update.guard(Cluster(5), force=False)
    assert "redis-1 hears 1 replicas, there are 2: looking again" in capsys.readouterr().err


def test_what_stays_degraded_is_refused_by_name(clock: list[float]) -> None:
    with pytest.raises(DeployError, match=r"(?s)Nothing was touched.*hears 1 replicas.*--force"):
        update.guard(Cluster(1000), force=False)
    assert 10 <= sum(clock) <= 30


def test_by_force_nobody_waits(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    update.guard(Cluster(1000), force=True)
    assert not clock
    assert "going on, by --force, although redis-1 hears" in capsys.readouterr().err
