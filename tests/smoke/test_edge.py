"""The edge lets users to the application, operators with their password to the pages, and nobody to anything else."""

from __future__ import annotations

import pytest
import requests

from infra import names
from tests.stack.endpoints import TIMEOUT_SECONDS, Endpoints
from tests.stack.instance import Instance

PAGES = {
    "/prometheus/graph": "Prometheus",
    "/alertmanager/": "Alertmanager",
    "/jaeger/search": "Jaeger",
    "/dashboards/": "PIDEA dashboards",
    "/haproxy": "HAProxy",
}


@pytest.fixture
def endpoints(stack: Instance) -> Endpoints:
    """The ways in."""
    return Endpoints(stack.outputs())


@pytest.mark.parametrize(
    "path", [*PAGES, "/", "/prometheus/api/v1/targets", "/jaeger/api/services", "/dashboards/d/slo", "/nothing"]
)
@pytest.mark.parametrize("login", [None, (names.OPERATOR_USERNAME, "wrong"), (names.OPERATOR_USERNAME, ""), ("", "")])
def test_operators_pages_need_the_password(endpoints: Endpoints, path: str, login: tuple[str, str] | None) -> None:
    answer = requests.get(f"{endpoints.operators}{path}", auth=login, timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize(("path", "title"), PAGES.items())
def test_operators_see_each_page(endpoints: Endpoints, path: str, title: str) -> None:
    assert title in endpoints.operator_get(path).text


def test_operators_are_told_which_pages_there_are(endpoints: Endpoints) -> None:
    answer = requests.get(f"{endpoints.operators}/nothing", auth=endpoints.login, timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 404
    assert all(
        page in answer.text for page in ("/prometheus/", "/alertmanager/", "/jaeger/", "/dashboards/", "/haproxy")
    )


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics/", "/metrics?x=1", "//metrics", "/api/../metrics", "/%6detrics"]
)
def test_metrics_are_not_for_users(endpoints: Endpoints, path: str) -> None:
    request = requests.Request("GET", endpoints.app).prepare()
    request.url = f"{endpoints.app}{path}"  # as it is: requests would tidy it up
    with requests.Session() as session:
        answer = session.send(request, timeout=TIMEOUT_SECONDS)
    # What begins like the API is first asked for a token.
    assert answer.status_code == (401 if path.startswith("/api/") else 404)
    assert "pidea_http_requests" not in answer.text


def test_users_do_not_reach_the_operators_pages(endpoints: Endpoints) -> None:
    for path in ("/prometheus/", "/alertmanager/", "/jaeger/", "/dashboards/", "/haproxy"):
        assert requests.get(f"{endpoints.app}{path}", timeout=TIMEOUT_SECONDS).status_code == 404


def test_answers_do_not_say_what_serves_them(endpoints: Endpoints) -> None:
    answer = requests.get(f"{endpoints.app}/api/health/live", timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200
    assert "Server" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
