"""From a fault to the page in somebody's hands, by real Prometheus and Alertmanager with a stack's configuration."""

from __future__ import annotations

import http.server
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from tests.alerts.test_delivery import Hook
from tests.unit.infra.alertmanagers import Member, running
from tests.unit.infra.conftest import read_config
from tests.unit.infra.test_edge_tls import free_ports
from tests.unit.infra.test_rendered_configs import load, program
from tests.unit.infra.waiting import eventually

pytestmark = pytest.mark.pages
PROMISED_SECONDS = 90.0


class Application:
    """What Prometheus asks about the application; it can be ended and come back."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self._server: http.server.HTTPServer | None = None

    def start(self) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), _Metrics)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def end(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"pidea_build_info 1\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as found:
        yield found
        found.shutdown()


@pytest.fixture
def plan(hook: Hook) -> DeploymentPlan:
    receiver = {"name": "hook", "kind": "webhook", "url": f"{hook.url}/pages"}
    routing = {"receivers": [receiver], "critical": ["hook"]}
    return build_plan(StackSettings.from_config({**read_config("staging"), "pidea:alertmanager": routing}))


@pytest.fixture
def application() -> Iterator[Application]:
    found = Application()
    found.start()
    try:
        yield found
    finally:
        found.end()


@pytest.fixture
def prometheus(
    plan: DeploymentPlan, hook: Hook, application: Application, tmp_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """With the plan's intervals and rules; what it asks and tells is on this machine."""
    (tmp_path / "alertmanager").mkdir()
    with running(plan, tmp_path / "alertmanager", {}) as members:
        (alertmanager,) = members
        eventually(lambda: alertmanager.get("status") is not None)
        config = load(plan, "prometheus-yml")
        config["rule_files"] = [_rule_file(plan, Path(path).stem, tmp_path) for path in config["rule_files"]]
        (asked,) = (job for job in config["scrape_configs"] if job["job_name"] == names.APP)
        del asked["dns_sd_configs"]
        asked["static_configs"] = [{"targets": [f"127.0.0.1:{application.port}"]}]
        config["scrape_configs"] = [asked]
        (told,) = config["alerting"]["alertmanagers"]
        del told["dns_sd_configs"]
        told["static_configs"] = [{"targets": [_address(alertmanager)]}]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        (port,) = free_ports(1)
        command = [
            program("prometheus", "prometheus"),
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                eventually(lambda: _answers(port))
                yield process
            finally:
                process.terminate()
                process.wait(30)


@pytest.mark.usefixtures("prometheus")
def test_somebody_is_told_within_ninety_seconds_that_the_application_is_gone_and_that_it_is_back(
    application: Application, hook: Hook
) -> None:
    time.sleep(40)  # it was well for some scrapes, and nothing was told
    assert hook.told("/pages", "PideaAppAbsent") == []
    application.end()
    began = time.monotonic()
    eventually(lambda: hook.told("/pages", "PideaAppAbsent") == ["firing"], timeout_seconds=150)
    took = time.monotonic() - began
    print(f"from fault to page: {took:.1f} s")
    assert took < PROMISED_SECONDS
    application.start()
    eventually(lambda: hook.told("/pages", "PideaAppAbsent") == ["firing", "resolved"], timeout_seconds=150)


def _rule_file(plan: DeploymentPlan, name: str, folder: Path) -> str:
    path = folder / f"{name}.yml"
    path.write_text(next(config.content for config in plan.configs if config.name == name))
    return str(path)


def _address(member: Member) -> str:
    return member.url.removeprefix("http://").removesuffix("/alertmanager")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
