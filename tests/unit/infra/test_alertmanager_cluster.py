"""Two real Alertmanagers with the flags of production's: they find each other, and a silence of one is both's."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
import requests

from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from tests.unit.infra.alertmanagers import Member, running
from tests.unit.infra.conftest import read_config
from tests.unit.infra.waiting import eventually


@pytest.fixture(scope="module")
def plan() -> DeploymentPlan:
    config = {**read_config("prod"), "pidea:alertmanager": {"replicas": 2}}
    return build_plan(StackSettings.from_config(config))


@pytest.fixture(scope="module")
def members(plan: DeploymentPlan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Member]]:
    with running(plan, tmp_path_factory.mktemp("alertmanagers"), {}) as started:
        assert len(started) == 2
        yield started


def test_they_are_a_cluster(members: list[Member]) -> None:
    eventually(lambda: all(member.peers() == 2 for member in members))
    for member in members:
        figures = requests.get(f"{member.url}/metrics", timeout=10).text
        assert "\nalertmanager_cluster_members 2\n" in figures


def test_what_one_is_told_to_silence_the_other_silences(members: list[Member]) -> None:
    one, other = members
    eventually(lambda: one.peers() == 2)
    now = datetime.datetime.now(datetime.UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": "PideaTest", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + datetime.timedelta(hours=1)).isoformat(),
        "createdBy": "test",
        "comment": "test",
    }
    made = requests.post(f"{one.url}/api/v2/silences", json=silence, timeout=10)
    made.raise_for_status()
    eventually(lambda: [found["id"] for found in other.get("silences")] == [made.json()["silenceID"]])
