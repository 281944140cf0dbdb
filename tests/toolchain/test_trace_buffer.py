"""Jaeger and a collector with the plan's configurations, as real processes: a trace waits where the storage is away."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from ops import toolchain
from tests.unit.infra.conftest import read_config
from tests.unit.infra.waiting import eventually

pytestmark = pytest.mark.toolchain

PORTS = ("health", "metrics", "otlp", "query", "grpc")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A Jaeger with one of the plan's configurations, on ports of its own."""

    binary: Path
    folder: Path
    config: str
    passes_on_to: int | None = None
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in PORTS})
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = yaml.safe_load(self.config)
        ports = {
            names.JAEGER_HEALTH_PORT: "health",
            names.JAEGER_METRICS_PORT: "metrics",
            names.JAEGER_OTLP_HTTP_PORT: "otlp",
            names.JAEGER_QUERY_PORT: "query",
            16685: "grpc",
        }
        moved = json.dumps(config)
        for port, name in ports.items():
            for address in ("0.0.0.0", "127.0.0.1"):  # noqa: S104 - replaced, not used
                moved = moved.replace(f'"{address}:{port}"', f'"127.0.0.1:{self.ports[name]}"')
        moved = moved.replace(
            '"host": "0.0.0.0", "port": 8888', f'"host": "127.0.0.1", "port": {self.ports["metrics"]}'
        )
        moved = moved.replace('"/data/', f'"{self.folder}/data/')
        if self.passes_on_to:
            moved = moved.replace("pidea-prod-jaeger:4318", f"127.0.0.1:{self.passes_on_to}")
        self.folder.mkdir(exist_ok=True)
        (self.folder / "config.yaml").write_text(moved)
        with (self.folder / "log").open("ab") as log:
            command = [str(self.binary), "--config", str(self.folder / "config.yaml")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        eventually(self.is_healthy)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(30)

    def is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{self.ports['health']}/status", timeout=2).ok
        return False

    def send(self, name: str, count: int = 1, padding: str = "") -> int:
        """Sends `count` spans, each a trace; the answer's status."""
        now = time.time_ns()
        spans: list[dict[str, Any]] = [
            {
                "traceId": secrets.token_hex(16),
                "spanId": secrets.token_hex(8),
                "name": name,
                "kind": 2,
                "startTimeUnixNano": str(now),
                "endTimeUnixNano": str(now + 1_000_000),
                "attributes": [{"key": "padding", "value": {"stringValue": padding}}],
            }
            for _ in range(count)
        ]
        service = {"attributes": [{"key": "service.name", "value": {"stringValue": "tested"}}]}
        body = {"resourceSpans": [{"resource": service, "scopeSpans": [{"spans": spans}]}]}
        url = f"http://127.0.0.1:{self.ports['otlp']}/v1/traces"
        return requests.post(url, json=body, timeout=10).status_code

    def figure(self, metric: str) -> float:
        """The sum of a metric's values; 0 where there is none."""
        text = requests.get(f"http://127.0.0.1:{self.ports['metrics']}/metrics", timeout=5).text
        lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith(f"{metric}{{")]
        return sum(float(value) for _, _, value in lines)

    def traces(self, operation: str) -> int:
        """How many traces Jaeger has of an operation."""
        url = f"http://127.0.0.1:{self.ports['query']}/jaeger/api/traces"
        asked = {"service": "tested", "operation": operation, "limit": "1000"}
        return len(requests.get(url, params=asked, timeout=5).json()["data"] or [])


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """A collector that runs, and the storage that it passes on to, which does not run yet."""
    found = toolchain.find()
    if found is None or found.jaeger is None:
        pytest.fail("the toolchain is not there: run `./pidea setup` first")
    plan = build_plan(StackSettings.from_config(read_config("prod")))
    configs = {config.name: config.content for config in plan.configs}
    storage = Server(found.jaeger, tmp_path / "storage", configs["jaeger-yaml"])
    collector = Server(found.jaeger, tmp_path / "collector", configs["collector-yaml"], storage.ports["otlp"])
    collector.start()
    try:
        yield collector, storage
    finally:
        collector.stop()
        storage.stop()


def test_traces_wait_while_the_storage_is_away(servers: tuple[Server, Server]) -> None:
    collector, storage = servers
    assert [collector.send("early") for _ in range(20)] == [200] * 20
    eventually(lambda: collector.figure("otelcol_exporter_queue_size") > 0)
    assert collector.figure("otelcol_exporter_queue_capacity") == 48 * 2**20
    storage.start()
    eventually(lambda: storage.traces("early") == 20)
    eventually(lambda: collector.figure("otelcol_exporter_queue_size") == 0)
    # And again, with a storage that was there: its connections are dead, its data is not.
    storage.stop()
    assert [collector.send("late") for _ in range(20)] == [200] * 20
    time.sleep(3)
    storage.start()
    eventually(lambda: storage.traces("late") == 20)
    assert storage.traces("early") == 20


def test_a_full_buffer_refuses_and_the_collector_lives(servers: tuple[Server, Server]) -> None:
    collector, storage = servers
    padding = "x" * 10_000
    answers = [collector.send("much", 100, padding) for _ in range(70)]
    assert answers[0] == 200
    # What OTLP calls temporary: the sender keeps it and tries again.
    assert set(answers) == {200, 503}
    accepted = answers.count(200) * 100
    assert 4_000 < accepted < 6_000
    assert collector.is_healthy()
    assert collector.figure("otelcol_exporter_queue_size") > 0.9 * collector.figure("otelcol_exporter_queue_capacity")
    storage.start()
    eventually(lambda: collector.figure("otelcol_exporter_queue_size") == 0)
    # At least once: what took too long to be acknowledged is sent again.
    eventually(lambda: storage.figure("otelcol_exporter_sent_spans_total") >= accepted)
    assert collector.figure("otelcol_exporter_send_failed_spans_total") == 0
