"""What the backend tells: health report, metrics, logs, traces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import psutil
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.app.conftest import Workbench
from tests.app.servers import CLIENTS, Backend, eventually, free_port

pytestmark = pytest.mark.app

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


class Receiver(ThreadingHTTPServer):
    """An OTLP/HTTP endpoint that keeps what it gets; GET answers 200, so it also stands in for healthy services."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self._ok()

    def do_GET(self) -> None:
        self._ok()

    def _ok(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_trace_reaches_the_collector(bench: Workbench, receiver: Receiver) -> None:
    backend = bench.ready(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, TRACE_SAMPLING_RATIO="0")
    path = backend.new_chat()
    answer = backend.client.get(path, headers=SAMPLED)
    assert (answer.status_code, answer.headers["x-trace-id"]) == (200, TRACE_ID)
    # The ratio of 0 keeps this one out; its logs have an id all the same.
    assert len(backend.client.get(path).headers["x-trace-id"]) == 32
    backend.terminate()
    assert backend.wait() == 0

    resources = [resource for request in receiver.requests for resource in request.resource_spans]
    attributes = {item.key: item.value.string_value for item in resources[0].resource.attributes}
    assert attributes["service.name"] == "pidea-backend"
    assert attributes["deployment.environment.name"] == "test"
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert {span.trace_id.hex() for span in spans} == {TRACE_ID}
    names = [span.name for span in spans]
    assert sorted(names) == [
        "GET /api/chats/{chat_id}/messages",
        "SELECT messages",
        "cache l2 lease",
        "cache l2 lookup",
        "cache l2 store",
    ]
    server = next(span for span in spans if span.name.startswith("GET"))
    assert server.parent_span_id.hex() == "b7ad6b7169203331"
    assert server.span_id in {span.parent_span_id for span in spans}


def test_a_rush_of_requests_begins_no_more_traces_than_so_many_a_second(bench: Workbench, receiver: Receiver) -> None:
    backend = bench.ready(
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, TRACE_SAMPLING_RATIO="1", TRACE_MAX_PER_SECOND="0.01"
    )
    path = backend.new_chat()
    for _ in range(20):
        assert len(backend.client.get(path).headers["x-trace-id"]) == 32
    # Who asks for a trace gets one.
    assert backend.client.get(path, headers=SAMPLED).status_code == 200
    backend.terminate()
    assert backend.wait() == 0
    spans = [
        span
        for request in receiver.requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    begun = {span.trace_id.hex() for span in spans if span.kind == span.SPAN_KIND_SERVER}
    assert TRACE_ID in begun
    assert len(begun) == 2


def test_a_dead_collector_neither_fails_requests_nor_the_exit(bench: Workbench) -> None:
    backend = bench.ready(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}", TRACE_SAMPLING_RATIO="1")
    assert backend.client.get(backend.new_chat()).status_code == 200
    backend.terminate()
    assert backend.wait() == 0


def test_log_lines_are_json_with_trace_ids(bench: Workbench) -> None:
    backend = bench.ready()
    path = backend.new_chat()
    backend.client.post(path, json={"role": "user", "content": "a secret"}, headers=SAMPLED)
    backend.client.get("/api/health/live")  # not in the access log
    backend.client.get(path)
    _, write, read = backend.access_log(3)
    assert write["trace_id"] == TRACE_ID
    assert len(write["span_id"]) == 16
    assert (write["method"], write["path"], write["status"]) == ("POST", path, 201)
    assert write["route"] == "/api/chats/{chat_id}/messages"
    assert write["duration_ms"] > 0
    assert (read["method"], read["cache"], len(read["trace_id"])) == ("GET", "origin", 32)
    backend.terminate()
    assert backend.wait() == 0
    assert (read["caller"], read["variant"]) == ("tester", "optimised")
    everything = str(backend.log_lines())
    assert "a secret" not in everything
    assert CLIENTS["tester"] not in everything


def test_the_clients_address_is_the_one_the_edge_tells(bench: Workbench) -> None:
    backend = bench.ready()
    backend.client.get(f"/api/chats/{uuid4()}/messages", headers={"x-forwarded-for": "192.0.2.7"})
    assert backend.access_log(1)[0]["client"] == "192.0.2.7"


def test_a_problem_names_the_trace(bench: Workbench) -> None:
    answer = bench.ready().client.get("/api/chats/nonsense/messages", headers=SAMPLED)
    assert answer.json()["trace_id"] == TRACE_ID


def test_health_report(bench: Workbench, receiver: Receiver) -> None:
    backend = bench.ready(PROMETHEUS_URL=receiver.url, JAEGER_HEALTH_URL=f"http://127.0.0.1:{free_port()}/status")
    path = backend.new_chat()
    for _ in range(4):
        backend.client.get(path)
    report = eventually(lambda: settled(backend), "the observability services are checked")
    assert set(report) == {"status", "timestamp", "services", "performance"}
    states = {name: service["status"] for name, service in report["services"].items()}
    assert states == {
        "postgres": "up",
        "redis": "up",
        "prometheus": "up",
        "jaeger": "down",
        "cache": "up",
        "deduplication": "up",
        "circuitBreaker": "up",
    }
    assert report["status"] == "up"
    performance = report["performance"]
    assert performance["cacheHitRate"] == 0.75
    assert performance["averageResponseTime"] > 0
    assert performance["duplicateRequests"] == 0


def settled(backend: Backend) -> dict[str, Any] | None:
    report: dict[str, Any] = backend.client.get("/api/health").json()
    services = report["services"]
    settled = services["prometheus"]["status"] == "up" and services["jaeger"].get("detail") != "not checked yet"
    return report if settled else None


def test_services_that_are_not_configured_are_disabled(bench: Workbench) -> None:
    services = bench.ready().client.get("/api/health").json()["services"]
    assert (services["prometheus"], services["jaeger"]) == ({"status": "disabled"}, {"status": "disabled"})


def test_metrics(bench: Workbench) -> None:
    backend = bench.ready()
    chat = backend.new_chat()
    for path in (chat, chat, "/api/chats/x/messages", "/a", "/b"):
        backend.client.get(path)
    backend.client.request("PURGE", "/c")
    labels = 'method="GET",route="/api/chats/{chat_id}/messages",status="%d",variant="optimised"'
    assert backend.metric("pidea_http_requests_total{" + labels % 200 + "}") == 2
    assert backend.metric("pidea_http_requests_total{" + labels % 422 + "}") == 1
    unmatched = 'route="unmatched",status="404",variant="optimised"'
    assert backend.metric('pidea_http_requests_total{method="GET",' + unmatched + "}") == 2
    assert backend.metric('pidea_http_requests_total{method="OTHER",' + unmatched + "}") == 1
    assert backend.metric("pidea_http_request_duration_seconds_count{" + labels % 200 + "}") == 2
    assert backend.metric("pidea_http_requests_in_flight") == 1, "the scrape itself"
    assert backend.metric('pidea_cache_misses_total{tier="l2"}') == 1
    assert backend.metric('pidea_cache_hits_total{tier="l2"}') == 1
    assert backend.metric('pidea_cache_reads_total{source="origin",stale="false",variant="optimised"}') == 1
    assert backend.metric('pidea_cache_reads_total{source="l2",stale="false",variant="optimised"}') == 1
    calls = 'dependency="postgres",operation="messages",outcome="ok"'
    assert backend.metric("pidea_dependency_duration_seconds_count{" + calls + "}") == 1
    assert backend.metric('pidea_build_info{revision="abc",version="1.2.3"}') == 1
    assert backend.metric("process_resident_memory_bytes") > 0
    assert backend.metric("pidea_event_loop_lag_seconds_count") > 0
    assert backend.metric("pidea_cache_invalidations_connected") == 1
    assert "_created" not in backend.client.get("/metrics").text


def test_exemplars_lead_to_the_trace(bench: Workbench, receiver: Receiver) -> None:
    backend = bench.ready(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, TRACE_SAMPLING_RATIO="0")
    backend.client.get(backend.new_chat(), headers=SAMPLED)
    openmetrics = backend.client.get("/metrics", headers={"accept": "application/openmetrics-text"}).text
    families = list(text_string_to_metric_families(openmetrics))  # type: ignore[no-untyped-call]
    assert {family.name for family in families} >= {"pidea_http_request_duration_seconds", "pidea_cache_reads"}
    with_exemplar = [s for f in families for s in f.samples if s.exemplar and s.labels.get("method") == "GET"]
    assert {s.exemplar.labels["trace_id"] for s in with_exemplar if s.exemplar} == {TRACE_ID}


def test_workers_answer_with_the_metrics_of_all(bench: Workbench) -> None:
    backend = bench.ready(WORKERS="2")
    path = backend.new_chat()
    answers = 0
    for _ in range(40):
        with backend.client_as("tester") as fresh:
            answers += fresh.get(path).status_code == 200
    text = backend.client.get("/metrics").text
    labels = r'worker="(\d)",method="GET",route="/api/chats/\{chat_id\}/messages",status="200"'
    counted = dict(re.findall(rf"^pidea_http_requests_total\{{{labels}.*\}} (\S+)$", text, re.M))
    assert set(counted) == {"0", "1"}, "both workers had something to do"
    assert sum(map(float, counted.values())) == answers == 40
    assert text.count("# TYPE pidea_http_requests_total counter") == 1
    backend.terminate()
    assert backend.wait() == 0


def test_a_dead_worker_takes_the_process_with_it(bench: Workbench) -> None:
    backend = bench.ready(WORKERS="2")
    worker = psutil.Process(backend.process.pid).children()[0]
    worker.kill()
    assert backend.wait() != 0, "the orchestrator has to notice"


def test_telemetry_can_be_switched_off(bench: Workbench) -> None:
    backend = bench.ready(TELEMETRY_ENABLED="false")
    backend.client.get(backend.new_chat())
    assert "pidea_http_requests_total{" not in backend.client.get("/metrics").text
