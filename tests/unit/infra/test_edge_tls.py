"""The edge with production's configuration, as a real HAProxy: TLS on both ports, and nothing else."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from tests.unit.infra.conftest import read_config
from tests.unit.infra.recording import certificate
from tests.unit.infra.test_rendered_configs import program, write_edge
from tests.unit.infra.waiting import eventually

PORTS = (names.EDGE_PUBLIC_PORT, names.EDGE_OPERATOR_PORT, names.EDGE_METRICS_PORT)
PASSWORD = "only-for-this-test"


@dataclass(frozen=True)
class Edge:
    """A running HAProxy; `ports` are those of this machine by those of the container."""

    ports: dict[int, int]
    authority: str

    def url(self, port: int, path: str, scheme: str = "https") -> str:
        return f"{scheme}://localhost:{self.ports[port]}{path}"

    def get(self, port: int, path: str = "/", **options: object) -> requests.Response:
        return requests.get(self.url(port, path), verify=self.authority, timeout=10, **options)  # type: ignore[arg-type]


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextlib.contextmanager
def running(folder: Path, application: str = "", resolver: str = "") -> Iterator[Edge]:
    """An edge whose files are in `folder`; `application` is where the application is, if anywhere.

    With `resolver`, its `host:port`, that is a service's `name:port`, whose tasks it names.
    """
    haproxy = program("haproxy", "haproxy")
    write_edge(build_plan(StackSettings.from_config(read_config("prod"))), folder)
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    config = (folder / "haproxy.cfg").read_text()
    for inside, outside in ports.items():
        config = re.sub(rf"(?m)^  bind :{inside}\b", f"  bind 127.0.0.1:{outside}", config)
    if resolver:
        config = config.replace("nameserver dns 127.0.0.11:53", f"nameserver dns {resolver}")
        config = re.sub(r"(?m)^(  server-template app \d+) .*$", rf"\1 tasks.{application}", config)
    elif application:
        config = re.sub(r"(?m)^  server-template app .*$", f"  server app {application}", config)
    (folder / "haproxy.cfg").write_text(config)
    (folder / "authority.pem").write_text(certificate())
    with (folder / "log").open("wb") as log:
        command = [haproxy, "-W", "-db", "-f", str(folder / "haproxy.cfg"), "-f", str(folder / "users")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: process.poll() is not None or answers(ports[names.EDGE_METRICS_PORT]))
        assert process.poll() is None, (folder / "log").read_text()
        yield Edge(ports, str(folder / "authority.pem"))
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running(tmp_path_factory.mktemp("edge")) as made:
        yield made


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False


def test_both_ports_speak_tls_with_the_certificate(edge: Edge) -> None:
    # There is no application behind it, and it is HAProxy that says so.
    assert edge.get(names.EDGE_PUBLIC_PORT, "/api/health").status_code == 503
    assert edge.get(names.EDGE_OPERATOR_PORT).status_code == 401
    shown = edge.get(names.EDGE_OPERATOR_PORT, "/haproxy", auth=(names.OPERATOR_USERNAME, PASSWORD))
    assert shown.status_code == 200
    assert "Statistics Report" in shown.text


@pytest.mark.parametrize("port", PORTS[:2])
def test_plain_http_is_refused(edge: Edge, port: int) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(edge.url(port, "/", scheme="http"), timeout=10)


@pytest.mark.parametrize("port", PORTS[:2])
def test_a_client_that_does_not_know_the_authority_refuses(edge: Edge, port: int) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(edge.url(port, "/"), timeout=10)


@pytest.mark.parametrize(
    ("version", "spoken"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
def test_versions(edge: Edge, version: ssl.TLSVersion, spoken: bool) -> None:
    context = ssl.create_default_context(cafile=edge.authority)
    # As low as OpenSSL goes, so that a refusal is the edge's.
    context.set_ciphers("ALL:@SECLEVEL=0")
    is_old = version is ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1") if is_old else contextlib.nullcontext():
        context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection(("localhost", edge.ports[names.EDGE_PUBLIC_PORT]), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            assert secured.selected_alpn_protocol() == "h2"
            done = True
    except (ssl.SSLError, ConnectionResetError):
        done = False
    assert done is spoken


def test_browsers_are_told_to_stay_with_tls_where_the_host_is_not_shared(edge: Edge) -> None:
    for port in PORTS[:2]:
        told = edge.get(port, headers={"Host": "pidea.example"}).headers
        assert told["Strict-Transport-Security"] == "max-age=31536000"
        assert "Strict-Transport-Security" not in edge.get(port).headers


def test_the_health_check_needs_no_certificate(edge: Edge) -> None:
    assert answers(edge.ports[names.EDGE_METRICS_PORT])
