"""The dashboards and the traces as an operator sees them, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests import screenshots
from tests.browser import chromium
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance
from tests.stack.usage import use
from tests.stack.waiting import wait_until
from tests.stack.watching import MEASURED_WITHIN_SECONDS

# Twenty queries, and a script of some megabytes that the browser reads for the first time.
SHOWN_WITHIN_MILLISECONDS = 90_000


@pytest.fixture
def endpoints(stack: Instance) -> Endpoints:
    """The ways in."""
    return Endpoints(stack.outputs())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


class Visit:
    """An operator's window, with what it complained about."""

    def __init__(self, browser: Browser, endpoints: Endpoints, login: tuple[str, str]) -> None:
        credentials: Any = {"username": login[0], "password": login[1]}
        self.context = browser.new_context(http_credentials=credentials, viewport={"width": 1440, "height": 900})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(SHOWN_WITHIN_MILLISECONDS)
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add("/".join(request.url.split("/")[:3])))
        self._url = f"{endpoints.operators}/dashboards/"

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self._url}{path}")
        self.page.wait_for_selector("main")
        return self.page


@pytest.fixture
def visit(browser: Browser, endpoints: Endpoints) -> Iterator[Visit]:
    opened = Visit(browser, endpoints, endpoints.login)
    yield opened
    opened.context.close()


def test_every_dashboard_shows_every_panel(stack: Instance, endpoints: Endpoints, visit: Visit) -> None:
    def left(uid: str) -> list[str]:
        use(endpoints)
        page = visit.open(f"d/{uid}?from=now-15m")
        return page.locator(".problem").all_inner_texts() + page.locator(".panel:has(.empty) h2").all_inner_texts()

    prefix = "dashboard-"
    for uid in [c.name.removeprefix(prefix) for c in stack.plan.configs if c.name.startswith(prefix)]:
        wait_until(
            lambda uid=uid: not left(uid),  # type: ignore[misc]
            f"every panel of {uid} shows something",
            timeout_seconds=MEASURED_WITHIN_SECONDS,
            pause_seconds=5.0,
        )
        graphs = visit.page.locator(".panel.timeseries")
        expect(graphs.filter(has=visit.page.locator(".js-plotly-plot .xy"))).to_have_count(
            graphs.count(), timeout=SHOWN_WITHIN_MILLISECONDS
        )
        screenshots.shows_something(visit.page, uid)
    assert visit.complaints == []
    assert visit.hosts == {endpoints.operators}, "something is loaded from elsewhere"


def test_one_request_is_seen_as_a_waterfall(endpoints: Endpoints, visit: Visit) -> None:
    trace_id = use(endpoints)
    wait_until(lambda: _spans(endpoints, trace_id) > 1, "Jaeger has the trace")
    page = visit.open(f"trace/{trace_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Trace {trace_id}")
    spans = _spans(endpoints, trace_id)
    expect(page.locator(".waterfall .bars .point")).to_have_count(spans, timeout=SHOWN_WITHIN_MILLISECONDS)
    expect(page.locator("details")).to_have_count(spans, timeout=SHOWN_WITHIN_MILLISECONDS)
    expect(page.locator(".waterfall .ytick").first).to_contain_text("POST /api/chats/{chat_id}/messages")
    page.locator("summary").first.click()
    expect(page.locator("details pre").first).to_contain_text("http.response.status_code = 201")
    screenshots.shows_something(page, "trace")
    assert visit.complaints == []


def test_the_way_from_a_graph_to_the_slowest_request(endpoints: Endpoints, visit: Visit) -> None:
    use(endpoints)

    def led_there() -> bool:
        link = visit.open("d/overview?from=now-15m").locator(".traces a")
        if not link.count():
            return False
        link.first.click()
        # A request that is just over may have no trace yet.
        visit.page.locator(".waterfall .bars .point, .problem").first.wait_for()
        return visit.page.locator(".waterfall .bars .point").count() > 0

    wait_until(led_there, "the slowest request is seen", timeout_seconds=90, pause_seconds=5.0)
    expect(visit.page.get_by_role("heading", level=1)).to_contain_text("Trace ")


def test_traces_are_searched_by_a_form(endpoints: Endpoints, visit: Visit) -> None:
    trace_id = use(endpoints)
    wait_until(lambda: _spans(endpoints, trace_id) > 1, "Jaeger has the trace")
    page = visit.open("traces?service=pidea-backend&from=now-15m")
    expect(page.locator(f'a[href$="{trace_id}"]')).to_have_count(1)
    field = page.locator('input[name="id"]')
    box = field.bounding_box()
    assert box is not None
    assert box["width"] > 200, "an id cannot be read in it"
    field.fill(trace_id)
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Trace {trace_id}")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("trace/" + "0" * 31 + "1", "Jaeger has no trace 00000000000000000000000000000001"),
        ("trace/xyz", "'xyz' is no trace id: it has 32 digits of 0-9 and a-f"),
        ("d/overview?from=yesterday", "from=yesterday is no moment: write now, now-6h, or milliseconds since 1970"),
        ("d/nothing", "There is no such page; choose one above."),
    ],
)
def test_what_cannot_be_shown_is_one_message(visit: Visit, path: str, said: str) -> None:
    alert = visit.open(path).get_by_role("alert")
    expect(alert).to_have_count(1)
    expect(alert).to_contain_text(said)
    expect(visit.page.get_by_role("navigation")).to_be_visible()


def test_nobody_sees_them_with_a_wrong_password(browser: Browser, endpoints: Endpoints) -> None:
    stranger = Visit(browser, endpoints, (endpoints.login[0], "wrong"))
    answer = stranger.page.goto(f"{endpoints.operators}/dashboards/")
    assert answer is not None
    assert answer.status == 401
    assert "PIDEA dashboards" not in stranger.page.content()
    stranger.context.close()


def _spans(endpoints: Endpoints, trace_id: str) -> int:
    answer = endpoints.get(f"{endpoints.operators}/jaeger/api/traces/{trace_id}", auth=endpoints.login)
    return len(answer.json()["data"][0]["spans"]) if answer.status_code == 200 else 0
