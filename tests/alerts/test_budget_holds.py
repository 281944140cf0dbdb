"""A real Prometheus with the rules of the promises, asked as `./pidea slo` and `./pidea up` ask it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from infra.plan import objectives
from infra.settings import StackSettings
from ops.errors import DeployError
from ops.stack import metrics, slo
from ops.stack.metrics import Ask, MetricsError
from ops.stack.reference import resolve
from tests.alerts.rules import RULES
from tests.unit.infra.conftest import read_config
from tests.unit.infra.test_edge_tls import free_ports
from tests.unit.infra.test_rendered_configs import program
from tests.unit.infra.waiting import eventually

pytestmark = pytest.mark.app
# Counters that grow by themselves: so many answers a second.
ANSWERED = {"2xx": "180 * time()", "5xx": "20 * time()"}


def rules_of_users() -> dict[str, Any]:
    """What an edge would count, as rules: a user's every tenth request fails."""
    counters = [
        {"record": "haproxy_frontend_http_responses_total", "expr": grows, "labels": {"proxy": "public", "code": code}}
        for code, grows in ANSWERED.items()
    ]
    return {"groups": [{"name": "users", "rules": counters}]}


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """Rules are computed each second here, and days are looked at by the second."""
    rendered = objectives.config(StackSettings.from_config(read_config("staging"))).content
    (tmp_path / "objectives.yml").write_text(
        rendered.replace(":5m]) * 300", ":1s])").replace("interval: 2m", "interval: 1s")
    )
    (tmp_path / "users.yml").write_text(yaml.safe_dump(rules_of_users()))
    files = ["objectives.yml", "users.yml", str(RULES / "slo.yml")]
    config = {"global": {"evaluation_interval": "1s"}, "rule_files": files}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"

    def call(method: str, path: str, body: Any = None) -> Any:
        return requests.request(method, f"{url}/{path}", timeout=10).json()

    command = [
        program("prometheus", "prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.external-url={url}/prometheus",
    ]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield metrics.through(resolve("staging"), call)
        finally:
            process.terminate()
            process.wait(30)


def test_a_budget_that_users_see_spent_holds_a_deployment(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    def spent() -> list[str]:
        try:
            return [promise.name for promise in slo.promises(ask) if promise.is_spent]
        except MetricsError:
            return []

    eventually(lambda: spent() == ["availability"])
    found = {promise.name: promise for promise in slo.promises(ask)}
    assert set(found) == {"availability", "backups", "cached-reads", "tracing", "uncached-reads", "writes"}
    # One in ten, where one in a thousand may: a hundred times too fast.
    assert found["availability"].burn_rates["1h"] == pytest.approx(100, rel=0.01)
    assert found["availability"].remaining_ratio == pytest.approx(-99, rel=0.01)
    assert found["writes"].remaining_ratio is None
    with pytest.raises(DeployError, match=r"availability: 10\.000% of"):
        slo.guard(ask, force=False)
    slo.guard(ask, force=True)
    assert "going on, by --force" in "".join(capsys.readouterr())
