"""The viewer's parts without servers: times, figures, traces as trees, settings, files, and what is told to it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import flask.testing
import pytest

from ops.dashboards import definitions, figures, values
from ops.dashboards.answers import Answer, Named, name_of
from ops.dashboards.definitions import Panel, Target, Threshold
from ops.dashboards.errors import DefinitionError, QueryError, SettingsError
from ops.dashboards.events import TOLD_FOR_SECONDS, Event, Events
from ops.dashboards.jaeger import Trace, _trace
from ops.dashboards.prometheus import Series
from ops.dashboards.settings import Settings
from ops.dashboards.web import make
from ops.dashboards.window import Window

NOW = 1_700_000_000.0
PANEL: dict[str, Any] = {
    "id": 1,
    "type": "timeseries",
    "title": "A panel",
    "fieldConfig": {"defaults": {"unit": "s"}},
    "gridPos": {"w": 12, "h": 8},
    "targets": [{"expr": "up", "legendFormat": "{{job}}"}],
}
DASHBOARD: dict[str, Any] = {
    "uid": "a",
    "title": "A",
    "time": {"from": "now-1h", "to": "now"},
    "panels": [PANEL],
}


def environment(folder: Path, **changed: str) -> dict[str, str]:
    return {
        "PROMETHEUS_URL": "http://127.0.0.1:9/prometheus",
        "JAEGER_URL": "http://127.0.0.1:9/jaeger",
        "DASHBOARDS_FOLDER": str(folder),
        "ENVIRONMENT": "staging",
        **changed,
    }


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("s", 0.0042, "4.2 ms"),
        ("s", 0.00035, "350 µs"),
        ("s", 90, "90 s"),
        ("s", 7200, "2 h"),
        ("s", 0, "0 s"),
        ("bytes", 157286400, "150 MiB"),
        ("bytes", 0, "0 B"),
        ("Bps", 2048, "2 KiB/s"),
        ("percentunit", 0.1234, "12.3 %"),
        ("percentunit", 0.99949, "99.949 %"),
        ("percentunit", 0.999, "99.9 %"),
        ("percentunit", 0.999999, "99.999 %"),
        ("percentunit", 1, "100 %"),
        ("reqps", 12.34, "12.3/s"),
        ("ops", 0.25, "0.25/s"),
        ("short", 1234567, "1.23M"),
        ("short", -2, "-2"),
        ("short", math.nan, "no value"),
    ],
)
def test_a_value_is_written_as_people_read_it(unit: str, value: float, text: str) -> None:
    assert values.text(unit, value) == text


def test_a_window_fits_its_graph_and_its_queries() -> None:
    window = Window.parse("now-6h", "now", NOW, 15)
    assert (window.end, window.end - window.start, window.step) == (NOW, 21600, 90)
    assert window.fill("rate(x[$__rate_interval])") == "rate(x[105s])"
    assert window.fill("last_over_time(x[$__interval])") == "last_over_time(x[90s])"
    assert Window.parse("now-15m", "now", NOW, 15).fill("rate(x[$__rate_interval])") == "rate(x[60s])"
    absolute = Window.parse("1699990000000", "1699993600000", NOW, 15)
    assert (absolute.start, absolute.end) == (1699990000, 1699993600)


@pytest.mark.parametrize(
    ("since", "until"), [("yesterday", "now"), ("now", "now-1h"), ("now-9999w", "now"), ("", "now")]
)
def test_what_is_no_time_is_refused_with_what_would_be(since: str, until: str) -> None:
    with pytest.raises(QueryError, match=r"write now|from must come first"):
        Window.parse(since, until, NOW, 15)


def test_series_are_called_by_their_legend() -> None:
    target = Target("x", "{{method}} {{ route }}", exemplars=False)
    assert name_of(target, {"method": "GET", "route": "/x"}) == "GET /x"
    assert name_of(target, {"__name__": "up", "job": "app"}) == "job=app"
    assert name_of(target, {}) == "value"


def test_a_graph_has_gaps_where_there_is_no_number() -> None:
    panel = Panel(1, "timeseries", "t", "", "s", 12, (), (), is_stacked=False, top=None)
    series = Series({}, ((NOW, 0.001), (NOW + 15, math.nan), (NOW + 30, 0.004)))
    drawn = figures.graph(Answer(panel, [Named("a", series)]), [], Window.parse("now-1h", "now", NOW, 15))
    assert drawn["data"][0]["y"] == pytest.approx([1, None, 4])
    assert drawn["layout"]["yaxis"]["ticksuffix"] == " ms"
    json.dumps(drawn, allow_nan=False)


def test_what_has_just_begun_is_seen_as_a_point() -> None:
    panel = Panel(1, "timeseries", "t", "", "s", 12, (), (), is_stacked=False, top=None)
    many = Series({}, ((NOW - 60, 1.0), (NOW, 2.0)))
    one = Series({}, ((NOW - 60, math.nan), (NOW, 2.0)))
    drawn = figures.graph(
        Answer(panel, [Named("a", many), Named("b", one)]), [], Window.parse("now-1h", "now", NOW, 15)
    )
    assert [trace["mode"] for trace in drawn["data"]] == ["lines", "markers"]


def span(span_id: str, parent: str | None, start: int, duration: int, *, error: bool = False) -> dict[str, Any]:
    references = [{"refType": "CHILD_OF", "traceID": "t", "spanID": parent}] if parent else []
    tags = [{"key": "error", "type": "bool", "value": True}] if error else []
    return {
        **{"spanID": span_id, "operationName": span_id.upper(), "references": references, "startTime": start},
        **{"duration": duration, "tags": tags, "processID": "p1"},
    }


def read_trace(*spans: dict[str, Any]) -> Trace:
    return _trace({"traceID": "t", "spans": list(spans), "processes": {"p1": {"serviceName": "backend"}}})


def test_a_trace_is_a_tree_in_the_order_of_time() -> None:
    trace = read_trace(
        span("late", "root", 3_000_000, 500_000),
        span("inner", "early", 1_200_000, 100_000, error=True),
        span("root", None, 1_000_000, 2_000_000),
        span("early", "root", 1_100_000, 400_000),
        span("orphan", "lost", 2_000_000, 1_000),
    )
    assert [(one.span_id, one.depth) for one in trace.spans] == [
        *[("root", 0), ("early", 1), ("inner", 2), ("late", 1), ("orphan", 0)]
    ]
    assert trace.duration_seconds == pytest.approx(2.5)
    assert trace.has_error
    bars = figures.waterfall(trace)["data"][0]
    assert bars["base"] == pytest.approx([0, 0.1, 0.2, 2.0, 1.0])
    assert bars["marker"]["color"][2] != bars["marker"]["color"][0], "what failed looks like the rest"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"PROMETHEUS_URL": ""}, "PROMETHEUS_URL must be set"),
        ({"PROMETHEUS_URL": "prometheus:9090"}, "PROMETHEUS_URL must be an address that begins with http://"),
        ({"PORT": "http"}, "PORT must be a whole number from 1 to 65535, is 'http'"),
        ({"BASE_PATH": "dashboards"}, "BASE_PATH must begin and end with /"),
        ({"DASHBOARDS_FOLDER": "/nowhere"}, "DASHBOARDS_FOLDER must be a folder with dashboards"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match="^" + said.replace("(", r"\(")):
        Settings.from_environment(environment(tmp_path, **changed))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "broken.json is no dashboard that can be shown"),
        (json.dumps({**DASHBOARD, "panels": [{**PANEL, "type": "piechart"}]}), "is of type 'piechart'; known are"),
        (json.dumps({"uid": "x"}), "KeyError"),
    ],
)
def test_a_file_that_is_no_dashboard_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(DefinitionError, match=said):
        definitions.load(tmp_path)


def test_a_folder_without_dashboards_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="holds no dashboards"):
        definitions.load(tmp_path)


def test_an_event_is_told_for_some_scrapes_and_then_no_more() -> None:
    now = NOW
    events = Events(lambda: now)
    events.add(Event(kind="deployment", title="deployment 1", digest="abc", author="kim"))
    events.add(Event(kind="chaos", title="a fault", timestamp_seconds=NOW - 30))

    def told() -> dict[str, float]:
        return {sample.labels["title"]: sample.value for family in events.collect() for sample in family.samples}

    assert told() == {"deployment 1": NOW, "a fault": NOW - 30}
    now = NOW + TOLD_FOR_SECONDS + 1
    assert told() == {}


@pytest.fixture
def client(tmp_path: Path) -> flask.testing.FlaskClient:
    (tmp_path / "a.json").write_text(json.dumps(DASHBOARD))
    settings = Settings.from_environment(environment(tmp_path))
    return make(settings, definitions.load(tmp_path)).test_client()


def test_an_event_that_is_told_becomes_a_metric(client: flask.testing.FlaskClient) -> None:
    event = {"kind": "deployment", "title": "deployment 7", "digest": "0123abc", "author": "kim"}
    assert client.post("/dashboards/api/events", json=event).status_code == 204
    page = client.get("/metrics").get_data(as_text=True)
    assert 'pidea_event_timestamp_seconds{author="kim",digest="0123abc",kind="deployment",title="deployment 7"}' in page
    assert "process_resident_memory_bytes" in page


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        ('{"kind": "party", "title": "x"}', "application/json", 400, "kind: "),
        ('{"kind": "chaos", "title": ""}', "application/json", 400, "title: "),
        ('{"kind": "chaos", "title": "' + "x" * 121 + '"}', "application/json", 400, "title: "),
        ('{"kind": "chaos", "title": "x", "more": 1}', "application/json", 400, "more: "),
        ("no json", "application/json", 400, "body: "),
        ('{"kind": "chaos", "title": "x"}', "text/plain", 415, "Send application/json"),
    ],
)
def test_an_event_that_makes_no_sense_is_refused(
    client: flask.testing.FlaskClient, body: str, kind: str, status: int, said: str
) -> None:
    answer = client.post("/dashboards/api/events", data=body, content_type=kind)
    assert (answer.status_code, answer.get_data(as_text=True).count("\n")) == (status, 1)
    assert answer.get_data(as_text=True).startswith(said)
    assert "pidea_event_timestamp_seconds{" not in client.get("/metrics").get_data(as_text=True)


def test_thresholds_have_a_lowest_colour(tmp_path: Path) -> None:
    steps = {"steps": [{"value": None, "color": "green"}, {"value": 2, "color": "red"}]}
    panel = {**PANEL, "type": "stat", "fieldConfig": {"defaults": {"unit": "s", "thresholds": steps}}}
    (tmp_path / "a.json").write_text(json.dumps({**DASHBOARD, "panels": [panel]}))
    (read,) = definitions.load(tmp_path)["a"].panels
    assert read.thresholds == (Threshold(-math.inf, "green"), Threshold(2, "red"))
