"""Each node's edge: TLS with the stack's own authority, the same application and pages behind it, and nothing else."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping

import pytest
import requests

from infra import names
from infra import outputs as keys
from tests.prod.planned import NODES
from tests.stack.cluster import Cluster
from tests.stack.endpoints import TIMEOUT_SECONDS, Endpoints
from tests.stack.prod import Prod
from tests.stack.waiting import wait_until

PAGES = ("/prometheus/graph", "/alertmanager/", "/jaeger/search", "/haproxy")
each_node = pytest.mark.parametrize("node_name", NODES)
PORTS = (keys.EDGE_PORT, keys.OPERATOR_PORT)


@pytest.fixture
def edges(prod: Prod, cluster: Cluster) -> Mapping[str, Endpoints]:
    """The ways in, by node."""
    return {name: Endpoints(prod.outputs(), host=node.address) for name, node in cluster.nodes.items()}


@pytest.mark.parametrize("port", PORTS)
@each_node
def test_tls_is_recent_and_signed_by_the_stacks_authority(
    edges: Mapping[str, Endpoints], node_name: str, port: str
) -> None:
    edge = edges[node_name]
    with _connect(edge, port, ssl.create_default_context(cafile=str(edge.verify))) as connection:
        assert connection.version() in {"TLSv1.2", "TLSv1.3"}
    with pytest.raises(ssl.SSLCertVerificationError):
        _connect(edge, port, ssl.create_default_context())


@pytest.mark.parametrize("port", PORTS)
@each_node
def test_tls_before_1_2_is_refused(edges: Mapping[str, Endpoints], node_name: str, port: str) -> None:
    old = ssl.create_default_context(cafile=str(edges[node_name].verify))
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    # The server's own refusal: this client would.
    with pytest.raises(ssl.SSLError, match=r"(?i)alert.protocol.version"):
        _connect(edges[node_name], port, old)


@pytest.mark.parametrize("port", PORTS)
@each_node
def test_plain_http_is_not_served(edges: Mapping[str, Endpoints], node_name: str, port: str) -> None:
    edge = edges[node_name]
    plain = http.client.HTTPConnection(edge.host, int(edge.outputs[port]), timeout=TIMEOUT_SECONDS)
    plain.request("GET", "/api/health/live")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        plain.getresponse()


@each_node
def test_clients_are_told_to_stay_with_tls(edges: Mapping[str, Endpoints], node_name: str) -> None:
    answer = edges[node_name].get(f"{edges[node_name].app}/api/health/live")
    assert answer.status_code == 200
    assert int(answer.headers["Strict-Transport-Security"].partition("max-age=")[2].split(";")[0]) > 86400


@each_node
def test_what_is_written_here_is_read_everywhere(edges: Mapping[str, Endpoints], node_name: str) -> None:
    here = edges[node_name]
    path = here.messages().removeprefix(here.app)
    here.write(f"{here.app}{path}", f"written at {node_name}")
    for edge in edges.values():
        # Replicas hear of a write within a moment, each from the others.
        wait_until(
            lambda edge=edge: edge.contents(f"{edge.app}{path}") == [f"written at {node_name}"],  # type: ignore[misc]
            f"{edge.host} reads what was written at {node_name}",
            timeout_seconds=5.0,
            pause_seconds=0.05,
        )


@each_node
def test_nobody_gets_in_without_a_token(edges: Mapping[str, Endpoints], node_name: str) -> None:
    assert edges[node_name].get(f"{edges[node_name].app}/api/chats").status_code == 401


@each_node
def test_operators_pages_are_here_and_need_the_password(edges: Mapping[str, Endpoints], node_name: str) -> None:
    edge = edges[node_name]
    for path in PAGES:
        assert edge.get(f"{edge.operators}{path}").status_code == 401
        assert edge.operator_get(path).status_code == 200
        assert edge.get(f"{edge.app}{path}").status_code == 404


@each_node
def test_the_application_finds_everything_up(edges: Mapping[str, Endpoints], node_name: str) -> None:
    def well() -> bool:
        answer = edges[node_name].get(f"{edges[node_name].app}/api/health")
        states = {service["status"] for service in answer.json()["services"].values()}
        return answer.status_code == 200 and states == {"up"}

    wait_until(well, "the application finds everything up", timeout_seconds=60)


@each_node
def test_metrics_are_not_for_users(edges: Mapping[str, Endpoints], node_name: str) -> None:
    answer = edges[node_name].get(f"{edges[node_name].app}/metrics")
    assert answer.status_code == 404
    assert "pidea_http_requests" not in answer.text


def test_the_edge_balances_over_every_replica(prod: Prod, cluster: Cluster, edges: Mapping[str, Endpoints]) -> None:
    """Each edge, so that the loss of another one's node does not leave it with the one replica beside it."""
    replicas = next(spec.replicas for spec in prod.plan.services if spec.name == names.APP)
    for container in cluster.service(names.EDGE).containers:
        metrics = container.fetch(names.EDGE_METRICS_PORT, "/metrics")
        up = [
            line
            for line in metrics.splitlines()
            if line.startswith('haproxy_server_status{proxy="app"') and 'state="UP"' in line and line.endswith(" 1")
        ]
        assert len(up) == replicas


def test_an_authority_that_is_not_the_stacks_is_not_trusted(edges: Mapping[str, Endpoints]) -> None:
    edge = edges[NODES[0]]
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{edge.app}/api/health/live", timeout=TIMEOUT_SECONDS)


def _connect(edge: Endpoints, port: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((edge.host, int(edge.outputs[port])), timeout=TIMEOUT_SECONDS)
    try:
        return context.wrap_socket(plain, server_hostname=edge.host)
    except BaseException:
        plain.close()
        raise
