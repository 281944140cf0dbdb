"""Two real Alertmanagers with the flags of production's: they find each other, and a silence of one is both's."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from tests.unit.infra.conftest import read_config
from tests.unit.infra.test_edge_tls import free_ports
from tests.unit.infra.test_rendered_configs import content, program
from tests.unit.infra.waiting import eventually


class Member:
    """One of them, on ports of this machine."""

    def __init__(self, binary: str, command: tuple[str, ...], folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/alertmanager"
        folder.mkdir()
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([binary, *command[1:]], stdout=log, stderr=log, cwd=folder)

    def get(self, path: str) -> Any:
        assert self.process.poll() is None, self._log.read_text()
        try:
            answer = requests.get(f"{self.url}/api/v2/{path}", timeout=10)
        except requests.ConnectionError:
            return None
        return answer.json() if answer.ok else None

    def peers(self) -> int:
        status = self.get("status")
        return len(status["cluster"].get("peers", [])) if status else 0


@pytest.fixture(scope="module")
def plan() -> DeploymentPlan:
    config = {**read_config("prod"), "pidea:alertmanager": {"replicas": 2}}
    return build_plan(StackSettings.from_config(config))


@pytest.fixture(scope="module")
def members(plan: DeploymentPlan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Member]]:
    binary = program("prometheus-alertmanager", "prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("alertmanagers")
    (folder / "alertmanager.yml").write_text(content(plan, "alertmanager-yml"))
    services = [service for service in plan.services if service.image == names.ALERTMANAGER]
    assert len(services) == 2
    ports = free_ports(4)
    started = []
    try:
        for number, service in enumerate(services):
            command = tuple(
                part.replace("/etc/pidea", str(folder))
                .replace("/data", str(folder / service.name / "data"))
                .replace("--cluster.listen-address=0.0.0.0:9094", f"--cluster.listen-address=127.0.0.1:{ports[number]}")
                .replace(f"{plan.instance}-alertmanager-1:9094", f"127.0.0.1:{ports[0]}")
                .replace(f"{plan.instance}-alertmanager-2:9094", f"127.0.0.1:{ports[1]}")
                for part in service.command
            )
            port = ports[2 + number]
            started.append(
                Member(binary, (*command, f"--web.listen-address=127.0.0.1:{port}"), folder / service.name, port)
            )
        yield started
    finally:
        for member in started:
            member.process.terminate()
        for member in started:
            member.process.wait(30)


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
