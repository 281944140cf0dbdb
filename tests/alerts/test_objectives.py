"""The rendered promises: Prometheus computes from raw figures what the settings say, of metrics that there are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from app.telemetry.metrics import BUCKETS_SECONDS
from infra.objectives import BUCKETS_SECONDS as KNOWN_BUCKETS_SECONDS
from infra.plan import objectives
from infra.plan.objectives import Objective
from infra.settings import StackSettings
from tests.alerts.rules import RULES, metrics_of
from tests.alerts.test_alert_rules import application_metrics, backups_metrics
from tests.unit.infra.conftest import STACKS, read_config

SETTINGS = StackSettings.from_config(
    {
        **read_config("staging"),
        "pidea:slo": {
            "windowDays": 4,
            "minimumFailures": 7,
            "writes": {"target": 0.95, "thresholdSeconds": 1.0},
            "cachedReads": {"target": 0.98, "thresholdSeconds": 0.05},
            "backups": {"target": 0.95, "maximumAgeSeconds": 900},
            "tracing": {"target": 0.98},
        },
    }
)
CACHED = 'pidea_cached_read_duration_seconds_%s{job="app", instance="%s:8080", source="%s"%s}'
WRITTEN = 'pidea_http_request_duration_seconds_%s{job="app", method="%s", route="%s", status="%s"%s}'
SPANS = 'otelcol_%s_spans_total{job="%s", instance="a:8888"}'
# What HAProxy and the collector export; the smoke test asks the live ones for them.
OF_OTHERS = {
    "haproxy_frontend_http_responses_total",
    "otelcol_receiver_accepted_spans_total",
    "otelcol_receiver_refused_spans_total",
    "otelcol_exporter_send_failed_spans_total",
}
POST = ("POST", "/api/chats/{chat_id}/messages", "201")
# Counters, with what they grow by in each minute.
RAW = {
    'haproxy_frontend_http_responses_total{job="edge", proxy="public", code="2xx"}': "0+590x60",
    'haproxy_frontend_http_responses_total{job="edge", proxy="public", code="4xx"}': "0+4x60",
    'haproxy_frontend_http_responses_total{job="edge", proxy="public", code="5xx"}': "0+6x60",
    'haproxy_frontend_http_responses_total{job="edge", proxy="operators", code="5xx"}': "0+600x60",
    CACHED % ("count", "a", "l1", ""): "0+60x60",
    CACHED % ("bucket", "a", "l1", ', le="0.05"'): "0+60x60",
    CACHED % ("bucket", "a", "l1", ', le="0.025"'): "0+0x60",
    CACHED % ("count", "b", "l2", ""): "0+60x60",
    CACHED % ("bucket", "b", "l2", ', le="0.05"'): "0+54x60",
    CACHED % ("count", "a", "origin", ""): "0+60x60",
    CACHED % ("bucket", "a", "origin", ', le="0.5"'): "0+57x60",
    # From the disk, while PostgreSQL is away: no promise is about those.
    CACHED % ("count", "a", "l3", ""): "0+6000x60",
    CACHED % ("bucket", "a", "l3", ', le="0.5"'): "0+0x60",
    WRITTEN % ("count", *POST, ""): "0+120x60",
    WRITTEN % ("bucket", *POST, ', le="1.0"'): "0+108x60",
    # Reads, failed writes and what is no chat are not among the writes.
    WRITTEN % ("count", "GET", *POST[1:], ""): "0+900x60",
    WRITTEN % ("count", *POST[:2], "503", ""): "0+900x60",
    WRITTEN % ("count", "POST", "/api/feedback", "204", ""): "0+900x60",
    # Stored every minute for 33 minutes, and then no more, by a service that is gone 11 minutes later.
    'pidea_backup_wal_until_timestamp_seconds{job="backup"}': "1+60x33 1981x11 stale _x16",
    SPANS % ("receiver_accepted", "jaeger"): "0+90x60",
    SPANS % ("receiver_refused", "jaeger"): "0+30x60",
    # Where the spans come from counts, not what is passed on.
    SPANS % ("receiver_refused", "collector"): "0+900x60",
}


def labels(name: str) -> str:
    service = {"availability": "edge", "backups": "backup", "tracing": "jaeger"}.get(name, "app")
    return f'slo="{name}", service="{service}"'


# Rates are per second; 4 days have their 5-minute looks, of which the first shows nothing yet.
NAMES = ("availability", "backups", "cached-reads", "tracing", "uncached-reads", "writes")
EXPECTED: dict[str, dict[str, float]] = {
    name: dict(zip(NAMES, values, strict=True))
    for name, values in {
        "slo:objective:ratio": (0.999, 0.95, 0.98, 0.98, 0.99, 0.95),
        "slo:minimum_failures:count": (7, 7, 7, 7, 7, 7),
        "slo:requests:rate5m": (10, 1, 2, 2, 1, 2),
        "slo:failures:rate5m": (0.1, 1, 0.1, 0.5, 0.05, 0.2),
        # How old a backup is can be told from the first look on, which is the 13th: 3 of them found it too old.
        "slo:failures:ratio_period": (0.01, 0.230769, 0.05, 0.25, 0.05, 0.1),
        "slo:error_budget_remaining:ratio": (-9, -3.615385, -1.5, -11.5, -4, -1),
        "slo:failures:increase_period": (360, 900, 360, 1800, 180, 720),
    }.items()
}


def rounded(name: str) -> str:
    """Beyond the sixth digit floating point has its own mind."""
    return f"round({name}, 0.000001)"


def test_prometheus_computes_what_the_settings_promise(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    (tmp_path / "objectives.yml").write_text(objectives.config(SETTINGS).content)
    checks = [
        {
            "expr": rounded(name),
            "eval_time": "60m",
            "exp_samples": [{"labels": f"{{{labels(slo)}}}", "value": value} for slo, value in sorted(values.items())],
        }
        for name, values in EXPECTED.items()
    ]
    cases = {
        "rule_files": ["objectives.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": ["slo-objectives", "slo-budget"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in RAW.items()],
                "promql_expr_test": checks,
            }
        ],
    }
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(cases))
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "cases.yml"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("stack", STACKS)
def test_rendered_rules_are_valid(stack: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    rendered = tmp_path / "objectives.yml"
    rendered.write_text(objectives.config(StackSettings.from_config(read_config(stack))).content)
    command: list[str | Path] = [promtool, "check", "rules", "--lint=all", "--lint-fatal", rendered, RULES / "slo.yml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_thresholds_are_limits_of_the_applications_histogram() -> None:
    assert KNOWN_BUCKETS_SECONDS == BUCKETS_SECONDS


@pytest.mark.parametrize("objective", objectives.objectives(SETTINGS), ids=lambda objective: objective.name)
def test_promises_are_about_metrics_that_there_are(objective: Objective, tmp_path: Path) -> None:
    exported = {**application_metrics(), **backups_metrics(tmp_path)}
    used = {**metrics_of(objective.requests), **metrics_of(objective.failures)}
    assert used
    for name, picked in used.items():
        if name.startswith("pidea_"):
            assert name in exported, f"{name} is exported by nobody"
            assert picked <= exported[name], f"{name} has no label {picked - exported[name]}"
        else:
            assert name in OF_OTHERS


def test_every_recorded_series_of_a_promise_is_used_by_the_alerts_or_the_command() -> None:
    from ops.stack import slo

    recorded = {
        rule["record"]
        for group in yaml.safe_load(objectives.config(SETTINGS).content)["groups"]
        for rule in group["rules"]
    }
    readers = (RULES / "slo.yml").read_text() + Path(slo.__file__).read_text()
    unread = {name for name in recorded if name not in readers and name.partition(":")[2] not in readers}
    assert unread == {"slo:failures:ratio_period"}, "the budget is computed from that one"
