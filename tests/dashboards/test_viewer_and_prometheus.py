"""The viewer as a process before a real Prometheus: what it says when a query, a source or a file is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from ops.dashboards import prometheus as source
from ops.dashboards.window import Window
from tests.app.servers import free_port
from tests.browser import chromium
from tests.unit.dashboards.test_viewer_parts import DASHBOARD, PANEL
from tests.unit.infra.waiting import eventually

pytestmark = pytest.mark.app

REPOSITORY = Path(__file__).resolve().parents[2]
STARTED_WITHIN_SECONDS = 30


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Prometheus:
    """One that watches itself every second."""

    url: str
    process: subprocess.Popen[str]


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    port = free_port()
    config = tmp_path / "prometheus.yml"
    scrape = f"scrape_configs: [{{job_name: itself, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]"
    config.write_text(f"global: {{scrape_interval: 1s}}\n{scrape}\n")
    command = [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with running([*command, f"--storage.tsdb.path={tmp_path / 'data'}"]) as process:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _answers(f"{url}/-/ready"), STARTED_WITHIN_SECONDS)
        yield Prometheus(url, process)


def panel(number: int, title: str, expression: str, kind: str = "timeseries") -> dict[str, Any]:
    targets = [{"expr": expression, "legendFormat": "{{job}}"}]
    return {**PANEL, "id": number, "type": kind, "title": title, "targets": targets}


@contextlib.contextmanager
def viewer(
    prometheus: Prometheus, folder: Path, *panels: dict[str, Any]
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its address, and the process."""
    folder.mkdir(exist_ok=True)
    (folder / "a.json").write_text(json.dumps({**DASHBOARD, "panels": panels}))
    port = free_port()
    with running([sys.executable, "-m", "ops.dashboards"], _environment(folder, prometheus.url, port)) as process:
        url = f"http://127.0.0.1:{port}/dashboards/"
        eventually(lambda: _answers(f"{url}healthz"), STARTED_WITHIN_SECONDS)
        yield url, process


def test_a_wrong_query_is_told_in_its_panel_alone(prometheus: Prometheus, page: Page, tmp_path: Path) -> None:
    panels = (panel(1, "Good", "up"), panel(2, "Wrong", "sum(up"), panel(3, "Nothing", "no_such_metric", "stat"))
    with viewer(prometheus, tmp_path / "dashboards", *panels) as (url, _):
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        good = page.locator(".panel", has=page.get_by_role("heading", name="Good", exact=True))

        def shown() -> bool:
            page.goto(url)
            # The script that draws has some megabytes: a page that is loaded anew at once never gets that far.
            good.locator(".js-plotly-plot, .empty").first.wait_for()
            return good.locator(".js-plotly-plot").count() == 1

        eventually(shown)
        alert = page.get_by_role("alert")
        expect(alert).to_have_count(1)
        expect(alert).to_contain_text("Prometheus refuses the query")
        expect(alert).to_contain_text("unclosed left parenthesis")
        expect(page.locator(".panel:has(.empty) h2")).to_have_text(["Nothing"])
        assert not [text for text in complaints if "Content Security Policy" in text]
        assert "frame-ancestors 'none'" in requests.get(url, timeout=5).headers["Content-Security-Policy"]


def test_a_prometheus_that_is_away_is_one_message(prometheus: Prometheus, page: Page, tmp_path: Path) -> None:
    panels = tuple(panel(number, f"Panel {number}", "up") for number in range(1, 6))
    with viewer(prometheus, tmp_path / "dashboards", *panels) as (url, process):
        prometheus.process.kill()
        prometheus.process.wait()
        page.goto(url)
        expect(page.get_by_role("alert")).to_have_count(1)
        expect(page.get_by_role("alert")).to_contain_text(f"{prometheus.url} does not answer as Prometheus does")
        expect(page.get_by_role("alert")).to_contain_text("./pidea status")
        assert _answers(f"{url}healthz"), "it is not ill itself"
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=10)
        assert process.returncode == 0
        messages = [json.loads(line)["message"] for line in output.splitlines()]
        assert (messages[0], messages[-1]) == ("started", "ended")
        assert not [line for line in output.splitlines() if "Traceback" in line]


def test_of_several_the_one_that_answers_is_asked(prometheus: Prometheus) -> None:
    several = source.Prometheus(["http://127.0.0.1:9", prometheus.url])
    (found,) = several.instant("vector(7)", Window.parse("now-1h", "now", time.time(), 15))
    assert found.points[0][1] == 7


def test_a_page_whose_viewer_is_gone_says_that_it_is_old(prometheus: Prometheus, page: Page, tmp_path: Path) -> None:
    with viewer(prometheus, tmp_path / "dashboards", panel(1, "Good", "up")) as (url, process):
        page.clock.install()
        page.goto(url)
        page.wait_for_selector("main")
        page.clock.run_for(60_000)
        notice = page.get_by_role("alert")
        expect(notice).to_have_count(0)
        process.kill()
        process.wait()
        page.clock.run_for(120_000)
        expect(notice).to_have_text("These figures are old: the viewer does not answer any more.")


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"PROMETHEUS_URL": ""}, "PROMETHEUS_URL must be set"), ({}, "holds no dashboards (*.json)")],
)
def test_what_is_wrong_at_the_start_is_one_line(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    environment = {**os.environ, **_environment(tmp_path, "http://127.0.0.1:9", 1), **changed}
    done = subprocess.run(
        [sys.executable, "-m", "ops.dashboards"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "")
    (line,) = done.stdout.splitlines()
    assert said in json.loads(line)["message"]


def _environment(folder: Path, prometheus_url: str, port: int) -> dict[str, str]:
    return {
        **{"PROMETHEUS_URL": prometheus_url, "JAEGER_URL": "http://127.0.0.1:9", "ENVIRONMENT": "staging"},
        **{"DASHBOARDS_FOLDER": str(folder), "PORT": str(port)},
    }


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(url, timeout=5).status_code == 200
    return False
