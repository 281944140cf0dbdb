"""Real Alertmanagers with a plan's configuration, flags and secrets, on ports of this machine."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

from infra import names
from infra.spec import DeploymentPlan
from tests.unit.infra.test_edge_tls import free_ports
from tests.unit.infra.test_rendered_configs import content, program


class Member:
    """One of them."""

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

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """As `ops.stack.door` calls it, but without a door."""
        address = self.url + path.removeprefix("alertmanager")
        answer = requests.request(method, address, json=body, timeout=10)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def peers(self) -> int:
        status = self.get("status")
        return len(status["cluster"].get("peers", [])) if status else 0


@contextlib.contextmanager
def running(plan: DeploymentPlan, folder: Path, secrets: Mapping[str, str]) -> Iterator[list[Member]]:
    """All members of the plan, as a cluster. `secrets` are what their files hold, by name."""
    binary = program("prometheus-alertmanager", "prometheus-alertmanager")
    config = content(plan, "alertmanager-yml").replace(names.SECRETS_FOLDER, str(folder))
    (folder / "alertmanager.yml").write_text(config)
    for name, secret in secrets.items():
        (folder / name).write_text(secret)
    services = [service for service in plan.services if service.image == names.ALERTMANAGER]
    gossip, web = free_ports(len(services)), free_ports(len(services))
    addresses = {
        f"{plan.instance}-{service.name}:{names.ALERTMANAGER_CLUSTER_PORT}": f"127.0.0.1:{port}"
        for service, port in zip(services, gossip, strict=True)
    }
    started = []
    try:
        for number, service in enumerate(services):
            command = tuple(
                _here(part, folder, folder / service.name / "data", gossip[number], addresses)
                for part in service.command
            )
            listen = f"--web.listen-address=127.0.0.1:{web[number]}"
            started.append(Member(binary, (*command, listen), folder / service.name, web[number]))
        yield started
    finally:
        for member in started:
            member.process.kill()
        for member in started:
            member.process.wait(30)


def _here(part: str, folder: Path, data: Path, port: int, addresses: Mapping[str, str]) -> str:
    if part.startswith("--cluster.listen-address=0"):
        return f"--cluster.listen-address=127.0.0.1:{port}"
    for there, here in addresses.items():
        part = part.replace(there, here)
    return part.replace("/etc/pidea", str(folder)).replace("=/data", f"={data}")
