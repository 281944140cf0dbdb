"""The status page in a real Chromium."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, Request, expect

from app.api import status
from app.status.page import Release, make_report
from tests.app.servers import free_port
from tests.browser import chromium

pytestmark = pytest.mark.app

HEALTH: dict[str, Any] = {
    "status": "up",
    "timestamp": "2026-01-02T03:04:05.678+00:00",
    "services": {
        "postgres": {"status": "up", "latencyMs": 1.2},
        "redis": {"status": "up", "latencyMs": 0.4},
        "jaeger": {"status": "disabled"},
        "prometheus": {"status": "down", "detail": "Connection refused: prometheus.observability.internal:9090"},
        "circuitBreaker": {"status": "up", "dependencies": {"postgres": "half_open", "redis": "closed"}},
    },
}
FIGURES: dict[str, Any] = {"latency_milliseconds": {"p95": 12.4}, "apdex": 0.99, "requests": {"count": 1_234_567}}
POLL_MS = 5000

# Every text and what it stands on, as the browser computes them.
CONTRASTS = """() => {
  const rgba = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
    return { rgb: [red, green, blue], alpha };
  };
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color.alpha === 1) return color.rgb;
      if (color.alpha !== 0) throw new Error("a translucent background cannot be judged");
    }
    throw new Error("nothing has a background");
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.tagName === "NOSCRIPT") continue;
    const [one, other] = [luminance(rgba(getComputedStyle(element).color).rgb), luminance(background(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([element.textContent, ratio]);
  }
  return found;
}"""


@dataclass
class Site:
    """The page served on loopback; the test changes `health` and `figures`."""

    url: str
    health: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(HEALTH))
    figures: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(FIGURES))

    def report(self) -> dict[str, Any]:
        return make_report(self.health, self.figures, Release("1.2.3", "abcdef0", "test", "replica-1"))


@pytest.fixture
def site() -> Iterator[Site]:
    port = free_port()
    served = Site(f"http://127.0.0.1:{port}")
    app = FastAPI()
    app.include_router(status.router(served.report))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    give_up = time.monotonic() + 30
    while not server.started and time.monotonic() < give_up:
        time.sleep(0.01)
    assert server.started
    yield served
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


class Visit:
    """One page in a window of its own, with what it asked for and what it complained about."""

    def __init__(self, browser: Browser, site: Site, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request))
        # The test moves the page's clock, so that nobody waits for the next poll.
        self.page.clock.install()
        self.page.goto(f"{site.url}/status")

    def value(self, key: str) -> Any:
        return self.page.locator(f'[data-value="{key}"]')

    def poll(self, milliseconds: int = POLL_MS) -> None:
        self.page.clock.run_for(milliseconds)

    @property
    def notice(self) -> Any:
        return self.page.get_by_role("status")


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    opened = Visit(browser, site)
    yield opened
    opened.context.close()


def test_figures_change_without_loading_the_page_again(visit: Visit, site: Site) -> None:
    expect(visit.value("latency.p95")).to_have_text("12 ms")
    visit.page.evaluate("window.sameDocument = true")
    site.figures["latency_milliseconds"]["p95"] = 1.25
    visit.poll()
    expect(visit.value("latency.p95")).to_have_text("1.25 ms")
    expect(visit.notice).to_have_text("")
    assert visit.page.evaluate("window.sameDocument")
    assert visit.complaints == []


def test_a_breaker_that_opens_is_announced(visit: Visit, site: Site) -> None:
    site.health["services"]["circuitBreaker"]["dependencies"]["redis"] = "open"
    visit.poll()
    expect(visit.value("breaker.redis")).to_have_text("open: calls are refused")
    expect(visit.value("breaker.redis")).to_have_attribute("data-state", "down")
    expect(visit.notice).to_have_text("Circuit breakers: redis is open: calls are refused.")
    assert visit.notice.get_attribute("aria-live") == "polite"


def test_the_headline_follows_and_is_announced(visit: Visit, site: Site) -> None:
    site.health["status"] = "down"
    visit.poll()
    expect(visit.value("overall")).to_contain_text("Only part of it works")
    expect(visit.notice).to_contain_text("Overall: Only part of it works")


def test_texts_that_come_later_are_no_markup_either(visit: Visit, site: Site) -> None:
    site.health["services"]["prometheus"]["detail"] = "<b id=injected>x</b>"
    visit.poll()
    expect(visit.value("dependency.prometheus.detail")).to_have_text("<b id=injected>x</b>")
    assert visit.page.locator("#injected").count() == 0


def test_a_lost_connection_is_admitted_and_polled_less_often(visit: Visit, site: Site) -> None:
    visit.context.set_offline(True)
    visit.poll()
    expect(visit.notice).to_have_text("No connection. The figures are old.")
    visit.context.set_offline(False)
    polls = len(visit.requests)
    # The page's clock also runs by itself, so this is not just short of 10 s.
    visit.poll(6000)
    assert len(visit.requests) == polls, "the second attempt comes after 10 s"
    visit.poll(4000)
    expect(visit.notice).to_have_text("The connection is back.")
    assert len(visit.requests) == polls + 1


def test_a_hidden_page_does_not_poll(visit: Visit) -> None:
    visit.page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    visit.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    polls = len(visit.requests)
    visit.poll(60_000)
    assert len(visit.requests) == polls
    visit.page.evaluate("Object.defineProperty(document, 'hidden', { value: false, configurable: true })")
    with visit.page.expect_response("**/api/status"):
        visit.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        visit.poll(1)


def test_the_page_asks_its_own_host_only_and_is_small(visit: Visit, site: Site) -> None:
    with visit.page.expect_response("**/api/status"):
        visit.poll()
    paths = [request.url.removeprefix(site.url) for request in visit.requests]
    assert sorted(paths) == ["/api/status", "/status", "/status.css", "/status.js"]
    sizes = [request.sizes() for request in visit.requests if not request.url.endswith("/api/status")]
    assert 0 < sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) < 20_000
    assert visit.complaints == []


def test_it_works_without_javascript(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/status")
    expect(page.get_by_role("heading", level=1)).to_have_text("PIDEA status")
    expect(page.get_by_role("table")).to_have_count(4)
    expect(page.locator('[data-value="latency.p95"]')).to_have_text("12 ms")
    site.figures["latency_milliseconds"]["p95"] = 99
    page.get_by_role("link", name="load them again").click()
    expect(page.locator('[data-value="latency.p95"]')).to_have_text("99 ms")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(browser: Browser, site: Site, scheme: Literal["light", "dark"]) -> None:
    site.health["status"] = "degraded"
    visit = Visit(browser, site, color_scheme=scheme)
    visit.page.evaluate("document.getElementById('notice').textContent = 'No connection.'")
    contrasts = visit.page.evaluate(CONTRASTS)
    visit.context.close()
    assert len(contrasts) > 50
    assert [(text, ratio) for text, ratio in contrasts if ratio < 4.5] == []


def test_both_colour_schemes_exist(browser: Browser, site: Site) -> None:
    colours = []
    for scheme in ("light", "dark"):
        visit = Visit(browser, site, color_scheme=scheme)
        colours.append(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        visit.context.close()
    assert len(set(colours)) == 2


@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_never_scrolls_sideways(browser: Browser, site: Site, width: int) -> None:
    visit = Visit(browser, site, viewport={"width": width, "height": 640})
    overflow = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    visit.context.close()
    assert overflow == 0


def test_the_keyboard_reaches_everything_in_reading_order(visit: Visit) -> None:
    reached = []
    for _ in range(5):
        visit.page.keyboard.press("Tab")
        reached.append(
            visit.page.evaluate(
                "(() => { const at = document.activeElement;"
                " return [at.tagName, at.getBoundingClientRect().top, getComputedStyle(at).outlineStyle]; })()"
            )
        )
    assert [tag for tag, _, _ in reached] == ["DIV", "DIV", "DIV", "DIV", "A"]
    assert {outline for _, _, outline in reached} == {"solid"}, "the focus is visible"
    order = visit.page.evaluate("[...document.querySelectorAll('.table, a')].map((item) => item.tabIndex)")
    assert set(order) == {0}, "the order of the document, not one of its own"


def test_nothing_moves(browser: Browser, site: Site) -> None:
    visit = Visit(browser, site, reduced_motion="reduce")
    moving = visit.page.evaluate("document.getAnimations().length")
    durations = visit.page.evaluate(
        "[...document.querySelectorAll('*')].map((item) => getComputedStyle(item).transitionDuration)"
    )
    visit.context.close()
    assert moving == 0
    assert set(durations) == {"0s"}
